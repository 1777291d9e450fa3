// An exchange, mesh or run without cluster, shadow or network, in virtual time: each answer is the test's to give.

import type { ClusterClient, ClusterIdentity, ShadowHandle } from '../../src/cluster/calls.ts'
import type { InboundEvent, InboundHandle } from '../../src/cluster/inbound-calls.ts'
import type { InboundConfig } from '../../src/control/holder.ts'
import type { CrewEffects } from '../../src/daemon/inbound/crew.ts'
import { Exchange } from '../../src/daemon/inbound/exchange.ts'
import { MACHINE } from '../../src/daemon/inbound/program-network.ts'
import type { Tunnel } from '../../src/tunnel/tunnel.ts'
import { VirtualTime } from '../support/virtual-time.ts'

export const unreachable = Object.assign(new Error('connect ETIMEDOUT'), { code: 'unreachable' })
export const takenOver = Object.assign(new Error('web was taken over by ben@desk'), { code: 'taken-over' })

const handle = {
  kind: 'exchange',
  mode: 'selector',
  id: 'x7cxm',
  namespace: 'shop',
  service: 'web',
  address: '10.96.0.9',
  ports: [{ port: 80, protocol: 'TCP', listen: 8080, exposed: true }],
  remotes: [80],
  lease: { name: 'kt-exchange-web', uid: '1' },
  warnings: [],
  shadow: { pod: 'shadow-1', job: 'job-1', node: 'node1' },
} as unknown as InboundHandle

type Asked = 'beginExchange' | 'beginMesh' | 'switchExchange' | 'renewLease' | 'restoreExchange' | 'removeExchange'

export interface BenchOptions {
  config?: Partial<InboundConfig>
  handle?: Partial<InboundHandle>
}

export class ExchangeBench {
  readonly time = new VirtualTime()
  /** What was asked of the cluster and done with the shadows, in order. */
  readonly asked: string[] = []
  readonly notices: string[] = []
  /** What the holder was told cannot go on. */
  readonly failures: string[] = []
  /** Answers of the cluster other than "done": errors, or promises that the test ends. */
  readonly answers: Partial<Record<Asked | 'identify' | 'claim' | 'dial' | 'check', () => Promise<unknown>>> = {}
  readonly exchange: Exchange
  /** As if the Service was seen to change. */
  others!: (event: InboundEvent) => void
  /** As if the shadows' links said so. */
  crew!: CrewEffects
  readonly tunnels: Tunnel[] = []
  /** From how many shadows the Service was asked whether it leads here. */
  readonly checked: number[] = []
  #workerPatience: number | undefined

  constructor({ config = {}, handle: more = {} }: BenchOptions = {}) {
    const held = { ...handle, ...more } as InboundHandle
    const ask = async (what: Asked, value?: unknown): Promise<never> => {
      if (what !== 'renewLease') this.asked.push(what)
      return ((await this.answers[what]?.()) ?? value) as never
    }
    const cluster: Partial<ClusterClient> = {
      identify: async () => ((await this.answers.identify?.()) ?? {}) as ClusterIdentity,
      beginExchange: (_request, _options, _progress, hooks) => this.#making(ask('beginExchange', held), hooks?.signal),
      beginMesh: (_request, _options, _progress, hooks) => this.#making(ask('beginMesh', held), hooks?.signal),
      switchExchange: () => ask('switchExchange'),
      renewLease: () => ask('renewLease'),
      watchExchange: async (_handle, said) => void (this.others = said),
      restoreExchange: () => ask('restoreExchange', { restored: ['Service web: selector'], kept: [] }),
      removeExchange: () => ask('removeExchange'),
      close: async (patienceMs) => {
        this.#workerPatience = patienceMs
        this.asked.push('close')
      },
    }
    const deps = {
      cluster: cluster as ClusterClient,
      identity: Promise.resolve({ cluster: 'ktc', user: 'ann', namespace: 'shop' } as ClusterIdentity),
      log: Object.assign(() => {}, { trouble: () => undefined, debug: () => {} }),
      progress: () => {},
      notice: (line: string) => void this.notices.push(line),
      fail: (error: Error) => void this.failures.push(error.message),
    }
    const all = {
      kind: 'exchange',
      target: 'web',
      mode: 'selector',
      ports: [{ local: 9000, remote: 80 }],
      force: false,
      check: true,
      fallback: true,
      background: false,
      owner: 'ann@laptop',
      shadow: 'agent',
      readyTimeoutS: 60,
      ...config,
    } as InboundConfig
    this.exchange = new Exchange(
      all,
      { ...deps, requests: { watch: () => undefined } },
      {
        clock: this.time,
        wall: () => this.time.now(),
        id: () => 'id1',
        dialer: (closing) => this.#dialer(closing),
        crew: (effects) => this.#crew(effects, held),
        requireListening: async () => void (await this.answers.check?.()),
        checkWay: async (tunnels) => {
          this.checked.push(tunnels.length)
          return 'here'
        },
        network: MACHINE,
      },
    )
  }

  /** Begins; what it says when it holds, or why it does not. */
  async start(): Promise<string> {
    const said = await this.ended(this.exchange.start(), 60_000)
    return said instanceof Error ? `failed: ${said.message}` : String(said)
  }

  /** Ends; resolves to what could not be done, and how long it took. */
  async close(): Promise<{ notes: string[]; ms: number }> {
    const began = this.time.now()
    const notes = (await this.ended(this.exchange.close(), 60_000)) as string[]
    return { notes, ms: this.time.now() - began }
  }

  /** Lets time pass until `work` has ended. */
  async ended(work: Promise<unknown>, ms: number): Promise<unknown> {
    let result: { value: unknown } | undefined
    work.then(
      (value) => (result = { value }),
      (value) => (result = { value }),
    )
    await this.run(ms, () => result !== undefined)
    if (!result) throw new Error(`not ended after ${ms} ms`)
    return (result as { value: unknown }).value
  }

  /** Lets `ms` pass, or less if `done`. All promises settle before time goes on. */
  async run(ms: number, done = () => false): Promise<void> {
    const until = this.time.now() + ms
    const settle = () => new Promise((resolve) => setImmediate(resolve))
    await settle()
    while (!done() && (await this.time.step(until))) await settle()
    await settle()
  }

  get state(): string {
    return this.exchange.status().state
  }

  /** What the worker was given to end. */
  get workerPatience(): number | undefined {
    return this.#workerPatience
  }

  /** As the worker does: what is aborted undoes itself. */
  async #making<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const made = await work
    if (signal?.aborted) throw new Error('given up')
    return made
  }

  #dialer(closing: AbortSignal): CrewEffects['dialer'] {
    return {
      connect: async (create) => {
        const shadow = await create(() => {})
        await this.answers.dial?.()
        closing.throwIfAborted()
        return [shadow, {} as Tunnel]
      },
      link: () => {
        throw new Error('only a crew needs it')
      },
      shadowState: async () => 'running',
      clock: this.time,
    }
  }

  #crew(effects: CrewEffects, held: InboundHandle) {
    this.crew = effects
    const said = (what: string) => void this.asked.push(what)
    return {
      start: async () => {
        said(`claim ${effects.wanted().map(({ port }) => port.port)}`)
        await this.answers.claim?.()
      },
      get serves() {
        return true
      },
      shadow: undefined as ShadowHandle | undefined,
      tunnel: undefined,
      reconnects: 0,
      reaches: true,
      faults: [],
      tunnels: this.tunnels,
      handle: () => held,
      unclaim: async () => said('unclaim'),
      release: () => said('release'),
      settled: async () => {},
      close: async () => said('disconnect'),
    }
  }
}
