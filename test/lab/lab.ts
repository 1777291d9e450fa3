// The embedded lab: a laptop, a world and a cluster on one machine, made of network namespaces and a few Node programs.
// `startLab` is all that tests and the demo need; docs/contribute/lab.md shows the picture.
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { UserName } from './access.ts'
import { apiUrl } from './api-resources.ts'
import type { ApiHandlers } from './apiserver-program.ts'
import { createAuthority } from './certificate.ts'
import { type Program, type Remote, startProgram } from './child.ts'
import type { ClusterHandlers } from './cluster-program.ts'
import { Laptop } from './laptop.ts'
import {
  addAddress,
  addNamespace,
  checkPrerequisites,
  cleanStale,
  connect,
  ip,
  labFolder,
  processMark,
  removeNamespaces,
  setSysctls,
} from './namespaces.ts'
import {
  apiPort,
  dbPods,
  dnsAddresses,
  lan,
  ranges,
  silentRanges,
  slowApiPort,
  webAddresses,
  webPods,
  world,
} from './topology.ts'
import type { WorldHandlers } from './world-program.ts'

export { LabError } from './namespaces.ts'
export * as topology from './topology.ts'

export interface LabOptions {
  /** Content of the laptop's /etc/resolv.conf. Default: the world's resolver. */
  resolvConf?: string
  /** IPv6 on the laptop; default true. */
  laptopIpv6?: boolean
}

export interface KubeconfigOptions {
  /** Default `admin`. */
  user?: UserName
  /** Default `shop`. */
  namespace?: string
  /** Through the slow proxy instead of straight. */
  slow?: boolean
  /** `token` (default), or a client certificate: valid, or one that expired yesterday. */
  credentials?: 'token' | 'certificate' | 'expired-certificate' | 'wrong-token'
  /** Another CA's certificate, so that the server's cannot be verified. */
  wrongAuthority?: boolean
  /** Default the API server's. */
  server?: string
}

export interface Lab extends AsyncDisposable {
  readonly name: string
  readonly laptop: Laptop
  readonly api: Remote<ApiHandlers>
  readonly cluster: Remote<ClusterHandlers>
  readonly world: Remote<WorldHandlers>
  readonly link: Link
  /** Runs a command in another namespace of the lab; resolves to its standard output, rejects when it fails. */
  exec(where: 'cluster' | 'world', command: string[]): Promise<string>
  /** The text of a kubeconfig. */
  kubeconfig(options?: KubeconfigOptions): string
  /** Writes it where both users of the laptop can read it; returns the path. */
  kubeconfigFile(options?: KubeconfigOptions): string
  close(): Promise<void>
}

/** What lies between the laptop and all else. */
export interface Link {
  /** Packets vanish, both ways, without a word. */
  cut(): void
  /** The cable is out: the laptop's device has no carrier. */
  unplug(): void
  /** All is well again. */
  restore(): void
}

let labs = 0
const execFileAsync = promisify(execFile)

/** Takes about a second and a half. Removes what dead labs left first. Throws LabError when this machine cannot hold one. */
export async function startLab(options: LabOptions = {}): Promise<Lab> {
  checkPrerequisites()
  cleanStale()
  const number = labs++
  const name = `kt-lab-${process.pid}${number === 0 ? '' : `.${number}`}`
  const names = { laptop: `${name}-laptop`, world: `${name}-world`, cluster: `${name}-cluster` }
  const folder = labFolder(name)
  const cleanUp = cleanUpOnExit(() => {
    removeNamespaces(Object.values(names))
    rmSync(folder, { recursive: true, force: true })
  })
  try {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o755)
    writeFileSync(join(folder, 'owner'), processMark(process.pid)!)
    buildNetwork(names, options.laptopIpv6 ?? true)
    const access = createAccess()
    const settings = join(folder, 'api.json')
    const podFolder = join(folder, 'pods')
    mkdirSync(podFolder)
    writeFileSync(settings, JSON.stringify({ ...access.server, directory: podFolder }), { mode: 0o600 })
    const resolvConf = options.resolvConf ?? `nameserver ${world.resolver[0]}\n`
    const [laptop, api, cluster, outside] = await Promise.all([
      Laptop.start(folder, names.laptop, resolvConf),
      startProgram<ApiHandlers>(names.cluster, 'apiserver-program.ts', [settings]),
      startProgram<ClusterHandlers>(names.cluster, 'cluster-program.ts'),
      startProgram<WorldHandlers>(names.world, 'world-program.ts'),
    ])
    const close = async () => {
      cleanUp()
      await Promise.all([api, cluster, outside].map(ended))
    }
    laptop.writeKubeconfig(access.kubeconfig({}))
    return {
      name,
      laptop,
      api: api.call,
      cluster: cluster.call,
      world: outside.call,
      link: createLink(names.world),
      exec: async (where, [program, ...args]) =>
        (await execFileAsync('nsenter', [`--net=/run/netns/${names[where]}`, program, ...args])).stdout,
      kubeconfig: (wanted = {}) => access.kubeconfig(wanted),
      kubeconfigFile(wanted = {}) {
        const hash = createHash('sha256').update(JSON.stringify(wanted)).digest('hex').slice(0, 8)
        const path = join(folder, `kubeconfig-${hash}`)
        writeFileSync(path, access.kubeconfig(wanted), { mode: 0o644 })
        return path
      },
      close,
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    cleanUp()
    throw error
  }
}

async function ended({ process: child }: Program<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}

/** Runs `work` once: when called, at exit, and on the signals that end a program. */
function cleanUpOnExit(work: () => void): () => void {
  const signals = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const
  let done = false
  const once = () => {
    if (done) return
    done = true
    process.off('exit', once)
    for (const signal of Object.keys(signals)) process.off(signal, stop)
    work()
  }
  const stop = (signal: keyof typeof signals) => {
    once()
    process.exit(128 + signals[signal])
  }
  process.on('exit', once)
  for (const signal of Object.keys(signals)) process.on(signal, stop)
  return once
}

function buildNetwork(names: { laptop: string; world: string; cluster: string }, laptopIpv6: boolean): void {
  for (const name of Object.values(names)) {
    addNamespace(name)
    setSysctls(name, { 'net/ipv6/conf/all/disable_ipv6': '0', 'net/ipv6/conf/default/disable_ipv6': '0' })
  }
  const prefixed = ([v4, v6]: readonly [string, string]) => [`${v4}/24`, `${v6}/64`]
  connect(names.world, 'to-laptop', prefixed(lan.gateway), names.laptop, 'eth0', prefixed(lan.laptop))
  connect(names.world, 'to-cluster', prefixed(lan.uplink), names.cluster, 'eth0', prefixed(lan.node))
  const both = 'net/ipv6/conf/all/'
  // As the shadow's pod asks for: many short connections to one address need many ports.
  setSysctls(names.cluster, { 'net/ipv4/ip_local_port_range': '1024 65535' })
  setSysctls(names.world, {
    'net/ipv4/ip_forward': '1',
    [`${both}forwarding`]: '1',
    [`${both}keep_addr_on_down`]: '1',
  })
  for (const [namespace, [v4, v6]] of [
    [names.laptop, lan.gateway],
    [names.cluster, lan.uplink],
  ] as const) {
    ip('-n', namespace, 'route add default via', v4)
    ip('-6 -n', namespace, 'route add default via', v6)
  }
  for (const address of [...world.resolver, ...world.page]) addAddress(names.world, 'lo', host(address))
  const inCluster = [...webAddresses, ...dnsAddresses, ...[...webPods, ...dbPods].flatMap((pod) => pod.addresses)]
  for (const address of inCluster) addAddress(names.cluster, 'lo', host(address))
  // What nobody has is unreachable, except where silence is wanted: there the gateway swallows it.
  for (const range of [...ranges.pods, ...ranges.services]) ip('-n', names.cluster, 'route add unreachable', range)
  for (const [i, range] of silentRanges.entries()) {
    ip('-n', names.cluster, 'route add', range, 'via', lan.uplink[i])
    ip('-n', names.world, 'route add blackhole', range)
  }
  if (!laptopIpv6) setSysctls(names.laptop, { [`${both}disable_ipv6`]: '1' })
}

const host = (address: string) => `${address}/${address.includes(':') ? 128 : 32}`

function createLink(worldNamespace: string): Link {
  const holes = [...lan.laptop, ...lan.node].map(host)
  const present = (route: string) => ip('-n', worldNamespace, 'route show table all', route).includes('blackhole')
  return {
    cut() {
      for (const hole of holes) if (!present(hole)) ip('-n', worldNamespace, 'route add blackhole', hole)
    },
    unplug() {
      ip('-n', worldNamespace, 'link set to-laptop down')
    },
    restore() {
      for (const hole of holes) if (present(hole)) ip('-n', worldNamespace, 'route del blackhole', hole)
      ip('-n', worldNamespace, 'link set to-laptop up')
    },
  }
}

/** Certificates and tokens of the API server, fresh for each lab. */
function createAccess() {
  const day = 86_400_000
  const from = new Date(Date.now() - 2 * day)
  const until = new Date(Date.now() + 30 * day)
  const yesterday = new Date(Date.now() - day)
  const authority = createAuthority('kt-lab-ca', from, until)
  const stranger = createAuthority('another-ca', from, until)
  const addresses = [...lan.node, ...lan.gateway, '127.0.0.1', '10.112.0.1']
  const names = ['kubernetes', 'kubernetes.default.svc', 'localhost']
  const own = authority.issue({ commonName: 'kube-apiserver', addresses, names, notBefore: from, notAfter: until })
  const tokens: Record<UserName, string> = { admin: token(), developer: token(), guest: token() }
  const byToken = Object.fromEntries(Object.entries(tokens).map(([user, text]) => [text, user]))
  const encode = (text: string) => Buffer.from(text).toString('base64')
  const credentials = (user: UserName, kind: KubeconfigOptions['credentials']) => {
    if (kind === undefined || kind === 'token') return { token: tokens[user] }
    if (kind === 'wrong-token') return { token: token() }
    const notAfter = kind === 'certificate' ? until : yesterday
    const { cert, key } = authority.issue({ commonName: user, notBefore: from, notAfter })
    return { 'client-certificate-data': encode(cert), 'client-key-data': encode(key) }
  }
  return {
    server: { host: lan.node[0], port: apiPort, cert: own.cert, key: own.key, ca: authority.cert, tokens: byToken },
    kubeconfig({
      user = 'admin',
      namespace = 'shop',
      slow,
      credentials: kind,
      wrongAuthority,
      server,
    }: KubeconfigOptions) {
      const ca = wrongAuthority ? stranger.cert : authority.cert
      const url = server ?? apiUrl(slow ? slowApiPort : apiPort)
      return `${JSON.stringify(
        {
          apiVersion: 'v1',
          kind: 'Config',
          clusters: [{ name: 'lab', cluster: { server: url, 'certificate-authority-data': encode(ca) } }],
          users: [{ name: user, user: credentials(user, kind) }],
          contexts: [{ name: 'lab', context: { cluster: 'lab', user, namespace } }],
          'current-context': 'lab',
        },
        null,
        2,
      )}\n`
    },
  }
}

const token = () => randomBytes(16).toString('hex')
