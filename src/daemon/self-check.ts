// What a connection knows of its own faults: the helper's look at the machine, the probe of its programs, the tunnel's
// last word, the domains that found no room.

import { type Clock, delay } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import type { StatusFault } from '../control/protocol.ts'
import type { Fault } from '../host/fault.ts'
import { cannotReconnect, domainsLeftOut, tunnelLost } from './faults.ts'
import { Health } from './health.ts'
import type { HostClient } from './host-client.ts'
import type { Log } from './log.ts'
import type { Passage } from './passage.ts'

// A look at this machine: what the helper may take, what the probe may take, and all of it for one who waits.
const HELPER_MS = 1_500
const PROBE_MS = 2_000
const FIRST_PROBE_MS = 5_000
const LOOK_MS = 4_000

// What the probe finds, and the faults of the machine that explain it.
const consequences: Record<string, string[]> = {
  'no-names': ['resolv-conf', 'resolved'],
  'some-passage': ['link', 'addresses', 'routes', 'route-lost', 'route-conflict'],
  'no-passage': ['link', 'addresses', 'routes', 'route-lost', 'route-conflict'],
}

export interface SelfCheckDeps {
  host: Pick<HostClient, 'look'>
  log: Log
  clock: Clock
  /** Milliseconds since 1970. */
  wall(): number
  /** Whether there is a tunnel. */
  connected(): boolean
  closing: AbortSignal
}

export class SelfCheck {
  readonly #deps: SelfCheckDeps
  readonly #health: Health
  #passage: Passage | undefined

  constructor(deps: SelfCheckDeps) {
    this.#deps = deps
    const { log, closing, clock, wall } = deps
    const date = () => new Date(wall()).toISOString()
    this.#health = new Health({ look: () => this.#look(), clock, date, log })
    closing.addEventListener('abort', () => this.#health.close(), { once: true })
  }

  /** What is wrong, causes before what follows from them. */
  get faults(): StatusFault[] {
    const all = this.#health.faults
    const known = (codes: string[]) => all.some(({ code }) => codes.includes(code))
    return all.filter(({ code }) => !consequences[code] || !known(consequences[code]))
  }

  /**
   * From now on `passage` is looked at. Rejects if nothing of this machine's programs gets through. Resolves to what else is
   * wrong, in words.
   */
  async begin(passage: Passage): Promise<string[]> {
    this.#passage = passage
    const faults = await passage.look(true, FIRST_PROBE_MS)
    this.#health.set('programs', faults)
    const nothing = faults.find(({ code }) => code === 'no-passage')
    if (nothing) throw new ToldError(nothing.code, nothing.message, nothing.hint)
    void this.#health.look()
    return faults.map(({ message, hint }) => `${message}; ${hint}`)
  }

  /** Sees to it that `faults` are true. Resolves after 4 s at most, whatever does not answer. */
  async look(): Promise<void> {
    if (this.#passage) await Promise.race([this.#health.look(), delay(LOOK_MS, this.#deps.closing, this.#deps.clock)])
  }

  async #look(): Promise<void> {
    const { host, closing, connected } = this.#deps
    const hint = 'connect anew: `kt down`, then `kt up`'
    const helper = (message: string) => this.#health.set('helper', [{ code: 'helper', message, hint }])
    const asked = host.look().then(
      (faults) => {
        this.#health.set('machine', faults)
        this.#health.set('helper', [])
      },
      (error: Error) => helper(`kt's helper cannot look at this machine: ${error.message}`),
    )
    const late = delay(HELPER_MS, closing, this.#deps.clock).then(() => 'late')
    if ((await Promise.race([asked, late])) === 'late') helper("kt's helper does not answer")
    const faults = await this.#passage?.look(connected(), PROBE_MS)
    if (faults) this.#health.set('programs', faults)
  }

  /** The helper has looked at the machine by itself. */
  machineChanged(faults: Fault[], repaired: Fault[]): void {
    for (const { message } of repaired) this.#deps.log(`put back: ${message}`)
    this.#health.set('machine', faults)
    if (this.#passage) void this.#health.look()
  }

  /** Nobody is left who could put the machine back. */
  helperGone(): void {
    const message = "kt's helper was killed: names and routes of this machine still lead to kt, which is ending"
    this.#health.set('helper', [
      { code: 'helper', message, hint: '`kt down` puts the machine back; `kt up` does so and connects' },
    ])
  }

  tunnelLost(why: string): void {
    this.#health.set('cluster', [tunnelLost(why)])
  }

  reconnectFailed(error: Error): void {
    this.#health.set('cluster', [cannotReconnect(error)])
  }

  tunnelThere(): void {
    this.#health.set('cluster', [])
  }

  /** What systemd-resolved did not take of the domains. Returns it in words. */
  domainsLeftOut(left: readonly string[]): string[] {
    const faults = domainsLeftOut(left)
    this.#health.set('domains', faults)
    return faults.map(({ message, hint }) => `${message}; ${hint}`)
  }

  domainsRefused(error: Error & { hint?: string }): void {
    const message = `the machine's resolver did not take the cluster's domains: ${error.message}`
    this.#health.set('domains', [{ code: 'domains', message, hint: error.hint ?? '`kt logs` may say more' }])
  }
}
