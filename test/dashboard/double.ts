// An engine's stand-in on a control socket of its own: it says what a test wants said.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ControlHandlers, type ControlServer, serveControl } from '../../src/control/control-server.ts'
import { newHolderSocket } from '../../src/control/holders.ts'
import type { Held, ServiceReport, ServiceReports, Status, Team } from '../../src/control/protocol.ts'
import type { ClosedFlow, DnsLogEntry, DnsTrace, FlowReport, RequestReport, Sample } from '../../src/control/views.ts'

export class EngineDouble implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'kt-dashboard-'))
  readonly socket = join(this.folder, 'control.sock')
  /** Operations that were asked for, but for those of every second. */
  readonly asked: string[] = []
  status: Status = connectedStatus()
  services: ServiceReports = { scope: 'cluster', services: [], notes: [] }
  team: Team = { connected: [], held: [] }
  flows: FlowReport[] = []
  names: DnsLogEntry[] = []
  samples: Sample[] = []
  closed: ClosedFlow[] = []
  /** Of every holder. */
  requests: RequestReport[] = []
  /** Whether the last question for requests was for bodies, too. */
  bodiesWanted = false
  trace: DnsTrace | Error = Object.assign(new Error('the cluster does not answer'), { code: 'x', hint: 'try again' })
  /** Takes questions and answers none. */
  hangs = false
  /** Called before each list of flows is answered. */
  beforeFlows = (): void => {}
  #server: ControlServer | undefined
  #holders: ControlServer[] = []

  async start(): Promise<void> {
    const handlers = {
      status: () => (this.hangs ? new Promise<Status>(() => {}) : this.status),
      down: () => {
        this.asked.push('down')
        setImmediate(() => this.stop())
        return { notes: [] }
      },
      recover: ({ target, namespace }: { target: string; namespace: string }) => {
        this.asked.push(`recover ${target} ${namespace}`)
        return { target, restored: [], kept: [], removed: [], holder: null }
      },
      same: ({ context, kubeconfig }: { context?: string; kubeconfig?: string }) => ({
        same: context === this.status.context && kubeconfig === undefined,
        wanted: `${kubeconfig ?? ''} ${context ?? ''}`,
        current: this.status.cluster,
      }),
      services: () => this.services,
      team: () => this.team,
      flows: () => {
        this.beforeFlows()
        return { flows: this.flows, total: this.flows.length, closed: this.closed }
      },
      samples: ({ since }: { since?: number }) => ({ samples: this.samples.filter(({ at }) => at > (since ?? 0)) }),
      'dns.log': ({ since }: { since?: number }) => ({
        entries: this.names.filter(({ seq }) => seq > (since ?? 0)),
      }),
      'dns.trace': ({ name, type }: { name: string; type: string }) => {
        this.asked.push(`dns.trace ${name} ${type}`)
        if (this.trace instanceof Error) throw this.trace
        return { ...this.trace, name, type }
      },
    } satisfies Partial<ControlHandlers>
    this.#server = await serveControl(this.socket, handlers, () => {})
  }

  /** A holder's stand-in: exchanges `target` in the namespace shop until it is told to leave. */
  async hold(target: string, more: Partial<Held> = {}): Promise<{ left: boolean }> {
    const result = { left: false }
    const handlers: Partial<ControlHandlers> = {
      held: () => ({ ...heldReport(target), ...more }),
      requests: ({ since = 0, bodies = false }) => {
        this.bodiesWanted = bodies
        return { entries: this.requests.filter(({ seq }) => seq > since), unread: 1, notes: [] }
      },
      leave: () => {
        result.left = true
        setImmediate(() => server.close())
        return { notes: [] }
      },
    }
    const server = await serveControl(newHolderSocket({ XDG_RUNTIME_DIR: this.folder }), handlers, () => {})
    this.#holders.push(server)
    return result
  }

  /** The engine ends. */
  stop(): void {
    this.#server?.close()
    this.#server = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    for (const holder of this.#holders) holder.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function connectedStatus(): Status {
  return {
    state: 'connected',
    since: new Date(Date.now() - 754_000).toISOString(),
    pid: 4711,
    version: '0.1.0',
    context: 'team-staging',
    cluster: 'staging',
    server: 'https://staging.example.test:6443',
    namespace: 'shop',
    user: 'ada',
    shadow: {
      kind: 'agent',
      namespace: 'shop',
      job: 'kt-shadow-k3f9x',
      pod: 'kt-shadow-k3f9x-tq2wd',
      node: 'node-2',
      image: 'node:24-alpine',
      version: 'kt-agent 0.1.0',
    },
    tun: { name: 'kt0', mtu: 1500, addresses: ['198.18.0.1/32', 'fd6b:7400::1/128'] },
    ranges: [
      { cidr: '10.96.0.0/16', kind: 'services', source: 'ServiceCIDR kubernetes', guessed: false },
      {
        cidr: '10.244.0.0/16',
        kind: 'pods',
        source: 'seen on 3 addresses of pods in the namespace shop',
        guessed: true,
      },
    ],
    routes: ['10.96.0.0/16', '10.244.0.0/16'],
    dns: { mode: 'resolved', servers: ['198.18.0.2'], domains: ['cluster.local'] },
    flows: { tcp: 12, udp: 2 },
    bytes: { in: 0, out: 0 },
    roundTripMs: 23.4,
    reconnects: 0,
    line: null,
    foreignPackets: 0,
    memoryBytes: 92e6,
    notes: [],
    faults: [],
    exchanges: [],
    proxies: [],
    shells: [],
  }
}

function heldReport(target: string): Held {
  return {
    kind: 'exchange',
    target,
    namespace: 'shop',
    context: 'team-staging',
    cluster: 'staging',
    mode: 'selector',
    version: null,
    state: 'active',
    since: new Date(Date.now() - 90_000).toISOString(),
    pid: 4712,
    background: false,
    ports: [{ local: 8080, remote: 80, protocol: 'TCP' }],
    shell: null,
    shadow: null,
    connections: { total: 12, open: 1, refused: 0 },
    bytes: { in: 48_000, out: 1_200_000 },
    roundTripMs: 12,
    reconnects: 0,
    notes: [],
    faults: [],
  }
}

const words = ['web', 'cart', 'orders', 'billing', 'search', 'mail', 'auth', 'stock', 'images', 'reports']
const spaces = ['shop', 'payments', 'platform', 'monitoring', 'kube-system']

/** So many services, a tenth of them without a ready endpoint. */
export function manyServices(count: number): ServiceReport[] {
  return Array.from({ length: count }, (_, i) => {
    const broken = i % 10 === 9
    const headless = i % 17 === 3
    return {
      namespace: spaces[i % spaces.length],
      name: i < words.length ? words[i] : `${words[i % words.length]}-${i}`,
      type: headless ? 'Headless' : 'ClusterIP',
      addresses: headless ? [] : [`10.96.${i >> 8}.${i & 255}`],
      ports: [
        { port: 80, protocol: 'TCP', name: 'http' },
        ...(i % 4 ? [] : [{ port: 53, protocol: 'UDP', name: 'dns' }]),
      ],
      ready: broken ? 0 : (i % 3) + 1,
      total: (i % 3) + 1,
      reachable: !broken,
      why: broken ? 'no endpoint is ready' : 'routed',
    }
  })
}

const programs = ['curl', 'firefox', 'psql', 'node', 'java']

/** So many flows; `round` moves their counters. */
export function manyFlows(count: number, round = 0): FlowReport[] {
  return Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    protocol: i % 9 === 8 ? 'udp' : 'tcp',
    state: i % 9 === 8 ? 'OPEN' : i % 13 === 5 ? 'CLOSE-WAIT' : 'ESTABLISHED',
    process: i % 11 === 10 ? null : { pid: 3000 + (i % 40), name: programs[i % programs.length] },
    local: `198.18.0.1:${40_000 + i}`,
    remote: `10.96.${i >> 8}.${i & 255}:80`,
    name: i % 7 === 6 ? null : `${words[i % words.length]}.${spaces[i % spaces.length]}`,
    bytesIn: ((i * 7919) % 5_000_000) + round * 1500,
    bytesOut: ((i * 104_729) % 90_000) + round * 200,
    ageMs: i * 1700 + round * 1000,
    idleMs: (i % 50) * 100,
  }))
}

/** So many questions for names, one a second until now. */
export function manyNames(count: number): DnsLogEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const foreign = i % 5 === 4
    const absent = i % 7 === 3
    const cached = i % 3 === 1
    return {
      seq: i + 1,
      at: new Date(Date.now() - (count - i) * 1000).toISOString(),
      ms: cached ? 0.2 : 3 + (i % 20),
      name: foreign ? 'www.example.com' : `${words[i % words.length]}.${spaces[i % 3]}`,
      type: i % 4 === 2 ? 'AAAA' : 'A',
      rule: foreign ? 'public' : 'service.namespace',
      upstream: cached ? 'cache' : foreign ? '192.0.2.53' : '10.96.0.10',
      rcode: absent ? 'NXDOMAIN' : 'NOERROR',
    }
  })
}

/** So many requests of a minute, a few of which failed. */
export function manyRequests(count: number): RequestReport[] {
  return Array.from({ length: count }, (_, i) => ({
    seq: i + 1,
    at: new Date(Date.now() - (count - i) * 600).toISOString(),
    ms: ((i * 7) % 90) + 0.4,
    caller: `10.244.1.${i % 9}:4${String(i).padStart(4, '0')}`,
    pod: i % 5 === 4 ? null : { name: `${words[i % 3]}-5b7c697fbf-99czj`, namespace: 'shop' },
    remote: 80,
    local: 8080,
    protocol: 'HTTP/1.1',
    method: i % 3 ? 'GET' : 'POST',
    host: 'web',
    path: i % 4 === 3 ? '/orders/42?token=(hidden)' : `/price?id=${i}`,
    status: i % 11 === 7 ? 503 : i % 7 === 3 ? 404 : 200,
    grpcStatus: null,
    bytesIn: i % 3 ? 0 : 310,
    bytesOut: i * 131,
    outcome: 'answered',
    requestHeaders: [
      ['host', 'web'],
      ['authorization', '(hidden)'],
    ],
    responseHeaders: [['content-type', 'application/json']],
  }))
}

/** So many seconds until now. */
export function manySamples(count: number): Sample[] {
  return Array.from({ length: count }, (_, i) => ({
    at: Date.now() - (count - i) * 1000,
    in: 900e3 * (1 + Math.sin(i / 23) + ((i * 7919) % 100) / 300),
    out: (150e3 * ((i * 104_729) % 100)) / 100,
    roundTripMs: 22 + ((i * 7919) % 100) / 16,
  }))
}
