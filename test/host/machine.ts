// A machine made of a folder and a few sets: real files, pretended interfaces, routes and systemd-resolved. Every change
// is counted, and the machine can lose power at any of them.
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CommandResult, Effects, Files, Paths } from '../../src/host/effects.ts'
import type { ResolvedLink } from '../../src/host/linux/actions.ts'
import { systemFiles } from '../../src/host/linux/effects.ts'
import { network } from '../../src/wire/prefix.ts'

export class PowerCut extends Error {}

export interface MachineOptions {
  resolvConf?: { file: string; mode?: number } | { symlink: string; text?: string } | undefined
  uplink?: string
  /** /etc is on a read-only file system. */
  readOnlyEtc?: boolean
  resolved?: boolean
  ipv6?: boolean
  /** As `ip -j route show table all`, both families in one. */
  routes?: object[]
  /** Who `ip route get` says has an address; our TUN if it says nothing. */
  routeGet?: (address: string) => object | undefined
  /** As many domains as systemd-resolved takes for a link. */
  mostDomains?: number
}

interface Link {
  ifindex: number
  up: boolean
  mtu: number
  addresses: string[]
  routes: string[]
}

export const HELPER_PID = 4242

// Also those of a test that failed.
const roots = new Set<string>()
process.on('exit', () => {
  for (const root of roots) rmSync(root, { recursive: true, force: true })
})

export class Machine {
  readonly paths: Paths
  readonly root: string
  /** Lines of `ip -batch`, and calls to resolved. */
  readonly session: string[] = []
  readonly links = new Map<string, Link>()
  /** Accounts by uid. */
  readonly users = new Map<number, string>()
  readonly resolvedLinks = new Map<number, ResolvedLink>()
  /** The change at which power is cut: before it is done, or `after` it. */
  cutAt = Number.POSITIVE_INFINITY
  cutAfter = false
  changes = 0
  /** May be changed: the machine changes. */
  readonly options: MachineOptions
  /** The routes that come with addresses were removed. */
  unconnected = false
  /** Lines of `ip` that fail as the kernel refuses what is there already. */
  refuses: RegExp | undefined

  constructor(options: MachineOptions = {}) {
    this.options = options
    this.root = mkdtempSync(join(tmpdir(), 'kt-machine-'))
    roots.add(this.root)
    const at = (path: string) => join(this.root, path)
    this.paths = {
      resolvConf: at('etc/resolv.conf'),
      resolvedUplink: at('run/systemd/resolve/resolv.conf'),
      resolvedLinks: at('run/systemd/resolve/netif'),
      proc: at('proc'),
      state: at('var/lib/kt'),
      run: at('run/kt'),
    }
    for (const folder of ['etc', 'run/systemd/resolve', 'proc/sys/kernel/random', 'var/lib'])
      mkdirSync(at(folder), { recursive: true })
    this.put('proc/sys/kernel/random/boot_id', 'boot-1\n')
    this.process(HELPER_PID, '1000')
    const off = options.ipv6 === false ? '1\n' : '0\n'
    for (const name of ['all', 'kt0']) this.put(`proc/sys/net/ipv6/conf/${name}/disable_ipv6`, off)
    this.put('proc/sys/net/ipv6/conf/kt0/accept_ra', '1\n')
    if (options.uplink !== undefined) this.put('run/systemd/resolve/resolv.conf', options.uplink)
    const conf = options.resolvConf
    if (conf && 'file' in conf) {
      this.put('etc/resolv.conf', conf.file, conf.mode ?? 0o644)
    } else if (conf) {
      symlinkSync(conf.symlink, this.paths.resolvConf)
      if (conf.text !== undefined) this.put(join('etc', conf.symlink), conf.text)
    }
    this.links.set('kt0', { ifindex: 7, up: false, mtu: 1500, addresses: [], routes: [] })
  }

  put(path: string, text: string, mode = 0o644): void {
    const full = join(this.root, path)
    mkdirSync(dirname(full), { recursive: true })
    writeFileSync(full, text, { mode })
  }

  process(pid: number, started: string, state = 'S'): void {
    const fields = [state, ...Array.from({ length: 18 }, () => '0'), started, '0']
    this.put(`proc/${pid}/stat`, `${pid} (node) x) ${fields.join(' ')}`)
  }

  /** The helper is gone, and the TUN with its last descriptor. */
  die(pid = HELPER_PID): void {
    rmSync(join(this.root, `proc/${pid}`), { recursive: true })
    const ifindex = this.links.get('kt0')?.ifindex
    if (ifindex !== undefined) this.resolvedLinks.delete(ifindex)
    this.links.delete('kt0')
  }

  remove(): void {
    rmSync(this.root, { recursive: true })
  }

  /** All that must be as before, when compared. */
  state(): object {
    const kt0 = this.links.get('kt0')
    const target = systemFiles.linkTarget(this.paths.resolvConf)
    return {
      resolvConf: { ...systemFiles.snapshot(this.paths.resolvConf), mtimeMs: 0 },
      behindLink: target && systemFiles.read(target),
      mtime: target ? undefined : Math.round(this.#mtime() ?? 0),
      kt0: kt0 && { up: kt0.up, addresses: [...kt0.addresses], routes: [...kt0.routes] },
      resolved: [...this.resolvedLinks],
      left: systemFiles.list(this.paths.run),
    }
  }

  #mtime(): number | undefined {
    try {
      return statSync(this.paths.resolvConf).mtimeMs
    } catch {
      return undefined
    }
  }

  #change<T>(make: () => T): T {
    this.changes++
    // Code that catches the cut and goes on changes nothing any more.
    if (this.changes > this.cutAt || (this.changes === this.cutAt && !this.cutAfter)) throw new PowerCut()
    const result = make()
    if (this.changes === this.cutAt) throw new PowerCut()
    return result
  }

  effects(): Effects {
    const changing =
      <A extends unknown[], R>(call: (...args: A) => R) =>
      (...args: A) =>
        this.#change(() => call(...args))
    const checked =
      <A extends unknown[]>(call: (path: string, ...args: A) => void) =>
      (path: string, ...args: A) => {
        if (this.options.readOnlyEtc && dirname(path) === dirname(this.paths.resolvConf))
          throw Object.assign(new Error(`EROFS: read-only file system, open '${path}'`), { code: 'EROFS' })
        return this.#change(() => call(path, ...args))
      }
    const files: Files = {
      ...systemFiles,
      isWritable: (folder) =>
        systemFiles.isWritable(folder) && !(this.options.readOnlyEtc && folder === dirname(this.paths.resolvConf)),
      restore: checked(systemFiles.restore),
      create: changing(systemFiles.create),
      write: checked(systemFiles.write),
      poke: changing(systemFiles.poke),
      remove: changing(systemFiles.remove),
      removeFolder: changing(systemFiles.removeFolder),
      folder: changing((path: string, mode: number) => void mkdirSync(path, { mode, recursive: true })),
    }
    return {
      paths: this.paths,
      files,
      run: async (argv, input) => (argv[0] === 'ip' ? this.#ip(argv, input ?? '') : this.#getent(argv[2])),
      follow: () => () => {},
      resolved: {
        answers: async () => this.options.resolved ?? false,
        setLink: async (ifindex, { servers, domains, searchDomains }) => {
          const most = (this.options.mostDomains ?? Number.POSITIVE_INFINITY) - searchDomains.length
          const taken = { servers, domains: domains.slice(0, most), searchDomains }
          return this.#change(() => {
            this.resolvedLinks.set(ifindex, taken)
            return taken
          })
        },
        link: async (ifindex) =>
          this.options.resolved
            ? (this.resolvedLinks.get(ifindex) ?? { servers: [], domains: [], searchDomains: [] })
            : undefined,
        revertLink: async (ifindex) => this.#change(() => void this.resolvedLinks.delete(ifindex)),
      },
    }
  }

  #getent(uid: string): CommandResult {
    const name = this.users.get(Number(uid))
    return { code: name ? 0 : 2, stdout: name ? `${name}:x:${uid}:${uid}::/:/bin/sh\n` : '', stderr: '' }
  }

  #ip(argv: readonly string[], input: string): CommandResult {
    const words = argv.slice(1).filter((word) => word !== '-json' && word !== '-force')
    const lines = words[0] === '-batch' ? input.trim().split('\n') : [words.join(' ')]
    let stdout = ''
    for (const [i, line] of lines.entries()) {
      const answer = this.#line(line)
      if (typeof answer === 'string') return { code: 1, stdout, stderr: `${answer}\nCommand failed -:${i + 1}\n` }
      stdout += `${JSON.stringify(answer)}\n`
    }
    return { code: 0, stdout, stderr: '' }
  }

  /** One line of iproute2: an answer, or what it says on standard error. */
  #line(line: string): object | string {
    const [, query] = /^(?:-[46] )?(route show|route get|link show|address show)/.exec(line) ?? []
    if (query === 'route show') {
      const v6 = line.startsWith('-6')
      const own = [...this.links].flatMap(([dev, { up, addresses, routes }]) => {
        const connected = up && !this.unconnected ? addresses.map(network) : []
        return [...connected, ...routes].map((dst) => ({ dst, dev }))
      })
      return [...(this.options.routes ?? []), ...own].filter(
        (route) => (route as { dst: string }).dst.includes(':') === v6,
      )
    }
    if (query === 'route get') return [this.options.routeGet?.(line.split(' ')[2]) ?? { dev: 'kt0' }]
    const name = /dev (\S+)/.exec(line)?.[1] ?? ''
    const link = this.links.get(name)
    if (!link) return `Cannot find device "${name}"`
    if (query === 'address show') {
      const { ifindex, up, mtu, addresses } = link
      const info = addresses.map((cidr) => ({ local: cidr.split('/')[0], prefixlen: Number(cidr.split('/')[1]) }))
      return [{ ifname: name, ifindex, mtu, flags: up ? ['UP'] : [], addr_info: info }]
    }
    if (query === 'link show') return [{ ifname: name, ifindex: link.ifindex }]
    return this.#change(() => {
      this.session.push(line)
      if (this.refuses?.test(line)) return 'RTNETLINK answers: File exists'
      const [object, verb, what] = line.split(' ')
      if (object === 'link' && verb === 'delete') this.links.delete(name)
      else if (object === 'link') {
        if (line.endsWith(' up')) link.up = true
        const mtu = /mtu (\d+)/.exec(line)?.[1]
        if (mtu) link.mtu = Number(mtu)
        if (line.endsWith(' down')) Object.assign(link, { up: false, routes: [] })
      } else if (object === 'address') link.addresses = verb === 'flush' ? [] : [...link.addresses, what]
      else if (link.routes.includes(what)) return 'RTNETLINK answers: File exists'
      else link.routes.push(what)
      return {}
    })
  }
}
