// The ports of the shadows that come to this machine, each with the local port that it comes to.
import type { InboundHandle, InboundPort } from '../../cluster/inbound-calls.ts'
import type { InboundConfig } from '../../control/holder.ts'
import type { Endpoint } from '../../wire/address.ts'
import type { Wanted } from './leg.ts'
import { LocalTarget } from './local.ts'
import type { Complaints } from './once.ts'
import { PATIENCE_MS } from './presence.ts'
import type { ProgramNetwork } from './program-network.ts'
import type { Splice, SpliceWatcher } from './splice.ts'

// The second is for the claim itself: the agent must not give a caller away while the local program is still waited for.
const CLAIM_PATIENCE_MS = PATIENCE_MS + 1_000

export interface TargetEffects {
  network: ProgramNetwork
  /** Of the shadow: where its callers connected to. */
  addresses(): string[]
  complaints: Complaints
  /** Who looks on at a connection from `caller` to a port of the Service. */
  watch?(caller: Endpoint, port: { remote: number; local: number }): SpliceWatcher | undefined
  log(line: string): void
}

export class Targets {
  readonly counters = { bytesIn: 0, bytesOut: 0, total: 0, refused: 0 }
  readonly #effects: TargetEffects
  readonly #targets = new Map<InboundPort, LocalTarget>()
  #match: InboundHandle['mesh']

  constructor(effects: TargetEffects) {
    this.#effects = effects
  }

  /** Makes one for each port that is exposed. `fallback`: the original serves what no local program does. */
  open({ ports, mesh }: Pick<InboundHandle, 'ports' | 'mesh'>, config: InboundConfig, fallback: boolean): void {
    this.#match = mesh?.mode === 'auto' ? mesh : undefined
    for (const port of ports) if (port.exposed) this.#targets.set(port, this.#target(port, config, fallback))
  }

  /** What each session with a shadow claims. */
  wanted(): Wanted[] {
    return [...this.#targets].map(([port, target]) => ({
      port,
      handler: {
        onStream: (incoming) => target.onStream(incoming),
        onDatagrams: (incoming) => target.onDatagrams(incoming),
        onLost: (message) => this.#effects.log(`port ${port.listen}: ${message}`),
      },
      options: { ...(this.#match && { match: this.#match }), patienceMs: CLAIM_PATIENCE_MS },
    }))
  }

  /** The connections that are open. */
  *splices(): Iterable<Splice> {
    for (const target of this.#targets.values()) yield* target.splices
  }

  /** What is not answered here at once goes to the original, or is refused. */
  waitNoMore(): void {
    for (const target of this.#targets.values()) target.waitNoMore()
  }

  close(): void {
    for (const target of this.#targets.values()) target.close()
  }

  #target(port: InboundPort, { ports, proxyProtocol }: InboundConfig, fallback: boolean): LocalTarget {
    const same = ports.filter(({ remote }) => remote === port.port)
    const { local } = same.find(({ protocol }) => protocol === port.protocol) ?? same.find((one) => !one.protocol)!
    const { network, addresses, complaints, watch } = this.#effects
    return new LocalTarget({
      network,
      local,
      remote: port.port,
      proxyProtocol,
      fallback,
      addresses,
      counters: this.counters,
      complaints,
      ...(watch && { watch: (caller: Endpoint) => watch(caller, { remote: port.port, local }) }),
    })
  }
}
