// The end of an exchange, mesh or run, step by step: what is under way stops, the Service is put back, open connections finish, and what
// kt made is removed. What cannot be done is told, with the command that does it later.
import { type Clock, delay } from '../../base/clock.ts'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { InboundHandle } from '../../cluster/inbound-calls.ts'
import type { Crew } from './crew.ts'
import type { Steps } from './holding.ts'
import type { HolderKind } from './kinds.ts'
import { linger } from './linger.ts'
import { Reach } from './reach.ts'
import type { Targets } from './targets.ts'
import { within } from './within.ts'
import { waitingWords } from './words.ts'

const AGAIN_MS = 1_000
// An API server out of reach when everything is to be put back is asked again for so long.
// Until then the shadow passes requests on to the original, so nobody suffers when it is left to `kt recover`.
const RESTORE_PATIENCE_MS = 8_000
// What is said to the shadow in the end may not arrive.
const GOODBYE_MS = 2_000
const WORKER_MS = 500

export interface EndingEffects {
  cluster: Pick<ClusterClient, 'identify' | 'restoreExchange' | 'removeExchange' | 'close'>
  clock: Clock
  steps: Steps
  log(line: string): void
  crew: Pick<Crew, 'unclaim' | 'release' | 'close' | 'reaches'>
  targets: Pick<Targets, 'splices' | 'close'>
  kind: HolderKind
  /** Of the target, for people. */
  name(): string
  /** Undefined for the context's own. */
  namespace(): string | undefined
  /** What there is to put back, with the shadows that there are now. */
  handle(): InboundHandle | undefined
}

export class Ending {
  readonly #effects: EndingEffects
  readonly #hurry = new AbortController()
  /** What could not be done. */
  readonly #notes: string[] = []
  #reach: Reach | undefined
  #goodbyeUntil = 0
  #handle: InboundHandle | undefined

  constructor(effects: EndingEffects) {
    this.#effects = effects
  }

  /** Nothing is waited for any longer that need not be. */
  hurry(): void {
    this.#hurry.abort()
  }

  /** Waits for what is under way, as long as the API server answers. */
  async settle(underWay: Promise<unknown>): Promise<void> {
    const { cluster, clock, crew, kind, handle, namespace } = this.#effects
    const ask = () => cluster.identify()
    const reach = new Reach(
      { ask, now: () => clock.now(), after: (ms, call) => clock.after(ms, call) },
      RESTORE_PATIENCE_MS,
    )
    this.#reach = reach
    const settled = await reach.wait(underWay).then(
      () => true,
      () => false,
    )
    this.#handle = handle()
    if (!settled && !this.#handle) {
      const where = namespace() ? ` -n ${namespace()}` : ''
      this.#notes.push(
        `the API server does not answer, so what was half begun is still there; \`kt clean${where}\` removes it later`,
      )
    }
    // The Service may lead to the shadows for others too, so it is not that which ends what comes here.
    if (this.#handle && kind.sharesShadows) await reach.wait(crew.unclaim()).catch(() => {})
  }

  /**
   * False when the Service could not be put back. `internal`: the process that speaks to the API server died or hung, and the next
   * try has another one.
   */
  async restore(): Promise<boolean> {
    const { cluster, clock, steps, kind, name, log } = this.#effects
    const handle = this.#handle!
    const reach = this.#reach!
    const began = clock.now()
    for (let tries = 1; ; tries++) {
      try {
        const { restored, kept } = await reach.wait(
          cluster.restoreExchange(handle, (_, detail) => steps.running('service', detail)),
        )
        for (const one of kept) steps.note('service', one)
        const put = restored.length > 0 ? `put back: ${restored.join(', ')}` : kept.length > 0 ? 'left' : 'is as before'
        steps.done('service', put, clock.now() - began)
        return true
      } catch (error) {
        const { code, message } = error as { code?: string; message: string }
        log(`restore: ${message}`)
        const passing = code === 'unreachable' || (code === 'internal' && tries === 1)
        if (!passing || reach.lost || this.#hurry.signal.aborted) {
          const later = `\`${kind.recover(name())} -n ${handle.namespace}\` does it later`
          this.#notes.push(`${name()} could not be put back: ${message}; ${later}`)
          return false
        }
      }
      await delay(AGAIN_MS, this.#hurry.signal, clock)
    }
  }

  /** Lets the connections that are open finish. */
  async linger(): Promise<void> {
    const { clock, targets, steps, crew } = this.#effects
    const time = { now: () => clock.now(), delay: (ms: number, hurry: AbortSignal) => delay(ms, hurry, clock) }
    const open = await linger(() => targets.splices(), this.#hurry.signal, time, {
      reaches: () => crew.reaches,
      onWait: (count) => steps.note('ending', waitingWords(count)),
    })
    if (open > 0) steps.note('ending', `${open} connections that were still open are reset`)
  }

  /** The shadows end at once when they are told to. */
  release(): void {
    if (this.#notes.length === 0) this.#effects.crew.release()
  }

  async disconnect(): Promise<void> {
    const { clock, crew, targets } = this.#effects
    targets.close()
    this.#goodbyeUntil = clock.now() + GOODBYE_MS
    await within(clock, GOODBYE_MS, crew.close())
  }

  async remove(): Promise<void> {
    const { cluster, clock, steps, kind } = this.#effects
    const handle = this.#handle!
    const began = clock.now()
    try {
      await this.#reach!.wait(cluster.removeExchange(handle))
      steps.done('shadow', kind.sharesShadows ? 'left' : `${handle.shadow.job} removed`, clock.now() - began)
    } catch (error) {
      this.#notes.push(
        `the shadow ${handle.shadow.job} could not be removed (\`kt clean -n ${handle.namespace}\` does it later): ${(error as Error).message}`,
      )
    }
  }

  /** Resolves to what could not be done. */
  async finish(): Promise<string[]> {
    const { cluster, clock } = this.#effects
    this.#reach?.stop()
    await cluster.close(Math.max(0, this.#goodbyeUntil - clock.now()) + WORKER_MS)
    return this.#notes
  }
}
