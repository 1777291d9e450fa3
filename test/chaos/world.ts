// What a chaos run can do to the real cluster, and how it starts the load on a laptop of it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Status } from '../../src/control/protocol.ts'
import { checkout } from '../support/readable.ts'
import type { LoadConfig, LoadReport } from './load.ts'

export const seconds = (s: number) => delay(s * 1000)

export class World {
  readonly program: string
  readonly laptop: string
  readonly namespace: string

  constructor(program: string, laptop: string, namespace: string) {
    this.program = program
    this.laptop = laptop
    this.namespace = namespace
  }

  cluster(...args: string[]): string {
    return execFileSync(this.program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 })
  }

  kubectl(...args: string[]): string {
    return this.cluster('kubectl', '-n', this.namespace, ...args)
  }

  /** As root on the laptop. */
  onLaptop(...command: string[]): string {
    return this.cluster('laptop', '--as', this.laptop, ...command)
  }

  wan(...args: string[]): void {
    this.cluster('wan', '--as', this.laptop, ...args)
  }

  /** The laptop's shadow, as its kt says. */
  shadow(): { pod: string; job: string; node: string } {
    const text = this.onLaptop('su', '-', 'dev', '-c', `${join(checkout, 'bin/kt')} status --json`)
    return (JSON.parse(text) as Status).shadow!
  }

  /** Processes of the agent in that pod, as this machine sees them. */
  agentProcesses(pod: string): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => {
        try {
          return readFileSync(`/proc/${name}/environ`, 'utf8').split('\0').includes(`HOSTNAME=${pod}`)
        } catch {
          return false
        }
      })
      .map(Number)
  }

  /** Takes the laptop's network device down; returns how to bring it up again, with the default routes it had. */
  linkDown(): () => void {
    const found = /^default via (\S+) dev (\S+)/m.exec(this.onLaptop('ip', 'route', 'show', 'default'))
    const found6 = /^default via (\S+) dev (\S+)/m.exec(this.onLaptop('ip', '-6', 'route', 'show', 'default'))
    if (!found) throw new Error('the laptop has no default route')
    const [, gateway, device] = found
    const addresses6 = [
      ...this.onLaptop('ip', '-6', 'addr', 'show', 'dev', device, 'scope', 'global').matchAll(/inet6 (\S+)/g),
    ]
    this.onLaptop('ip', 'link', 'set', device, 'down')
    return () => {
      this.onLaptop('ip', 'link', 'set', device, 'up')
      // The kernel forgets these while the device is down.
      for (const [, address] of addresses6)
        this.onLaptop('ip', '-6', 'addr', 'replace', address, 'dev', device, 'nodad')
      this.onLaptop('ip', 'route', 'replace', 'default', 'via', gateway, 'dev', device)
      if (found6) this.onLaptop('ip', '-6', 'route', 'replace', 'default', 'via', found6[1], 'dev', device)
    }
  }

  /** Stops every process on the laptop, as sleep does; returns how to wake them. The kernel's clock and sockets go on. */
  sleep(): () => void {
    const folder = join(dirname(this.cluster('kubeconfig').trim()), 'pid')
    const keeper = Number(readFileSync(join(folder, `laptop-${this.laptop}`), 'utf8'))
    const netOf = (pid: number | string) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`)
      } catch {
        return undefined
      }
    }
    const net = netOf(keeper)
    const pids = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && netOf(name) === net)
      .map(Number)
      .filter((pid) => pid !== keeper)
    const all = (signal: NodeJS.Signals) => {
      for (const pid of pids)
        try {
          process.kill(pid, signal)
        } catch {
          // It has ended meanwhile.
        }
    }
    all('SIGSTOP')
    return () => all('SIGCONT')
  }

  /** As `kubectl drain` does it. */
  evict(pod: string): void {
    const file = join(mkdtempSync(join(tmpdir(), 'kt-chaos-')), 'eviction.json')
    const metadata = { name: pod, namespace: this.namespace }
    writeFileSync(file, JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata }))
    this.kubectl('create', '--raw', `/api/v1/namespaces/${this.namespace}/pods/${pod}/eviction`, '-f', file)
    rmSync(dirname(file), { recursive: true })
  }

  /** Drops what goes to the API server, or comes from it; returns how to stop that. */
  drop(way: 'output' | 'input'): () => void {
    const address = new URL(this.kubectl('config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}')).hostname
    const rule = `${way === 'output' ? 'daddr' : 'saddr'} ${address} drop`
    const table = `add table ip chaos; add chain ip chaos c { type filter hook ${way} priority 0; }; add rule ip chaos c ip ${rule}`
    this.onLaptop('nft', table)
    return () => void this.onLaptop('nft', 'delete table ip chaos')
  }

  /** Swallows what belongs to the connections to the API server that are open now, for ever. */
  blackHole(): () => void {
    const open = this.onLaptop('ss', '-Htn', 'state', 'established', 'dport', '=', ':6443')
    const ports = [...open.matchAll(/:(\d+)\s+\S+:6443/g)].map(([, port]) => port)
    if (ports.length === 0) throw new Error('no connection to the API server is open')
    const set = ports.join(', ')
    this.onLaptop(
      'nft',
      `add table ip chaos; add chain ip chaos o { type filter hook output priority 0; }; add rule ip chaos o tcp dport 6443 tcp sport { ${set} } drop; add chain ip chaos i { type filter hook input priority 0; }; add rule ip chaos i tcp sport 6443 tcp dport { ${set} } drop`,
    )
    return () => void this.onLaptop('nft', 'delete table ip chaos')
  }

  /** A component of the cluster (`kube-apiserver`, `node1-kubelet`, …): ends it with `signal`; the result starts it again. */
  async stopComponent(name: string, signal: NodeJS.Signals): Promise<() => void> {
    const folder = join(dirname(this.cluster('kubeconfig').trim()), 'pid')
    const file = join(folder, name)
    const pid = Number(readFileSync(file, 'utf8'))
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
    const env = Object.fromEntries(
      readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .filter(Boolean)
        .map((pair) => pair.split(/=(.*)/s).slice(0, 2)),
    )
    // It enters the namespaces now, while they have a process, and begins when it is told to.
    const words = ['-t', String(pid), '-n', '-m', '--', 'sh', '-c', 'echo in; read -r go; exec "$0" "$@"', ...command]
    const next = spawn('nsenter', words, { env, detached: true, stdio: ['pipe', 'pipe', 'ignore'] })
    next.on('error', (error) => console.error(`chaos: ${name}: ${error.message}`))
    await once(next.stdout!, 'data', { signal: AbortSignal.timeout(10_000) })
    next.stdout!.destroy()
    next.unref()
    process.kill(pid, signal)
    return () => {
      execFileSync('sh', ['-c', `echo ${next.pid} >"${file}"`])
      next.stdin!.end('go\n')
    }
  }

  /** Starts the load; resolves when it runs. */
  async load(config: LoadConfig): Promise<{ stop(): Promise<LoadReport> }> {
    const script = join(import.meta.dirname, 'load.ts')
    const words = ['laptop', '--as', this.laptop, process.execPath, '--disable-warning=ExperimentalWarning', script]
    const child: ChildProcess = spawn(this.program, [...words, JSON.stringify(config)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let said = ''
    let complaint = ''
    child.stdout!.setEncoding('utf8').on('data', (text) => (said += text))
    child.stderr!.setEncoding('utf8').on('data', (text) => (complaint += text))
    child.stdin!.on('error', () => {})
    const over = new Promise<void>((resolve) => {
      child.on('error', () => resolve())
      child.on('close', () => resolve())
    })
    const ready = async () => {
      while (!said.includes('ready')) await delay(50)
    }
    await Promise.race([ready(), over, delay(60_000)])
    if (!said.includes('ready')) throw new Error(`the load did not start: ${complaint}`)
    return {
      stop: async () => {
        child.stdin!.end()
        await Promise.race([over, delay(60_000)])
        if (child.exitCode === null) child.kill('SIGKILL')
        const line = said.split('\n').find((one) => one.startsWith('{'))
        if (!line) throw new Error(`the load said nothing at its end: ${complaint}`)
        return JSON.parse(line) as LoadReport
      },
    }
  }
}
