// A cluster that answers in virtual time, and counts what a client leaves in it.
import type { ClusterClient, ForwardTarget, ShadowHandle } from '../../src/cluster/calls.ts'
import { ClusterConnection, type ConnectionEvents, type Step } from '../../src/connection/connection.ts'
import { ShadowDialer } from '../../src/connection/shadow-dialer.ts'
import { FakeTunnel } from '../support/fake-tunnel.ts'
import { VirtualTime } from '../support/virtual-time.ts'

export class FakeCluster {
  readonly time = new VirtualTime()
  readonly shadows = new Set<string>()
  readonly tunnels: FakeTunnel[] = []
  readonly steps: Step[] = []
  readonly logged: string[] = []
  /** What was asked, with the time of each. */
  readonly asked: string[] = []
  closed = 0
  prolonged = 0
  kind: ShadowHandle['kind'] = 'agent'
  lines = false
  /** How long each question takes, and those that are never answered. */
  answerMs = 100
  readonly silent = new Set<string>()
  /** Thrown by the dials that come first. */
  refusals: Error[] = []
  state: { state: 'running' | 'starting' | 'gone'; detail: string } = { state: 'running', detail: '' }
  /** Finishes a shadow that is given up, without a word about it before. */
  deaf = false
  /** Where forwards lead. */
  target: ForwardTarget = { name: 'service/web', namespace: 'n', address: '10.96.0.1', port: 80, pod: undefined }
  #made = 0

  readonly client = {
    identify: () =>
      this.#answer('identify', {
        context: 'k',
        cluster: 'c',
        user: 'u',
        namespace: 'n',
        server: 's',
        serverAddresses: [],
      }),
    namespaces: () => this.#answer('namespaces', ['n', 'other']),
    discoverRanges: () =>
      this.#answer('discoverRanges', {
        ranges: [{ cidr: '10.96.0.0/16', kind: 'services', source: 'test', guessed: false }],
        notes: ['a guess'],
      }),
    createShadow: (_options, _progress, { dialable, signal } = {}) =>
      new Promise<ShadowHandle>((resolve, reject) => {
        const job = `job${++this.#made}`
        this.asked.push(`${this.time.now()} createShadow`)
        this.shadows.add(job)
        const shadow = { job, pod: `${job}-pod`, node: 'node1', namespace: 'n', kind: this.kind } as ShadowHandle
        if (this.deaf) {
          this.time.after(600, () => resolve(shadow))
          return
        }
        const cancels = [this.time.after(200, () => dialable?.(shadow)), this.time.after(600, () => resolve(shadow))]
        signal?.addEventListener('abort', () => {
          for (const cancel of cancels) cancel()
          // Giving up takes a moment too: the Job is removed first.
          this.time.after(50, () => {
            if (this.silent.has('removeShadow')) return
            this.shadows.delete(job)
            reject(Object.assign(new Error('given up'), { code: 'gone' }))
          })
        })
      }),
    prolongShadow: async () => void this.prolonged++,
    removeShadow: async ({ job }) => {
      await this.#answer('removeShadow', undefined)
      this.shadows.delete(job)
    },
    shadowState: () => this.#answer('shadowState', this.state),
    podAt: () => this.#answer('podAt', null),
    resolveForward: () => this.#answer('resolveForward', this.target),
    close: async () => void this.closed++,
  } satisfies Partial<ClusterClient> as unknown as ClusterClient

  connection(events: Partial<ConnectionEvents> = {}): ClusterConnection {
    return new ClusterConnection({
      cluster: this.client,
      dialer: (closing) => this.dialer(closing),
      shadow: {} as never,
      clock: this.time,
      log: this.log,
      onStep: (step) => void this.steps.push(step),
      ...events,
    })
  }

  readonly log = Object.assign((line: string) => void this.logged.push(line), {
    debug: () => {},
    trouble: () => undefined,
  })

  dialer(closing: AbortSignal): ShadowDialer {
    return new ShadowDialer({
      cluster: this.client,
      open: async () => {
        this.asked.push(`${this.time.now()} dial`)
        await this.sleep(this.answerMs)
        const refusal = this.refusals.shift()
        if (refusal) throw refusal
        const fake = new FakeTunnel({ line: this.lines })
        this.tunnels.push(fake)
        return fake.tunnel
      },
      image: 'image',
      clock: this.time,
      log: this.log,
      closing,
    })
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.time.after(ms, resolve))
  }

  /** Tunnels that nobody has closed. */
  get open(): number {
    return this.tunnels.filter(({ over }) => !over).length
  }

  async #answer<T>(what: string, value: T): Promise<T> {
    this.asked.push(`${this.time.now()} ${what}`)
    if (this.silent.has(what)) return await new Promise<T>(() => {})
    await this.sleep(this.answerMs)
    return value
  }
}
