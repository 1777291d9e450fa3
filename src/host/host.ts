// The machine while connected: brings it to the desired state step by step, each undo written down first, and back. What a
// step is on this system, machine.ts says.
import { type AppliedState, type DesiredState, serversAreInside } from './desired.ts'
import type { Effects } from './effects.ts'
import { HostError } from './errors.ts'
import type { Journal, UndoReport } from './journal.ts'
import { otherKts, writerOfMarker } from './others.ts'
import { describe, ownerText, SystemMachine } from './system.ts'

type SystemFinding = Awaited<ReturnType<SystemMachine['look']>>[number]
type Action = Parameters<SystemMachine['perform']>[0]

export class Host {
  readonly #journal: Journal
  readonly #machine: SystemMachine
  /** Records of the journal that are not ours to undo. */
  readonly #base: number
  readonly #log: (line: string) => void
  #desired: DesiredState | undefined

  /** `tun` has been opened and recorded in `journal`. */
  constructor(
    effects: Effects,
    journal: Journal,
    tun: { name: string; ifindex: number },
    log: (line: string) => void = () => {},
  ) {
    this.#journal = journal
    this.#machine = new SystemMachine({
      ...{ effects, tun, owner: ownerText(journal.owner) },
      ownersOf: (devices) => otherKts(effects, devices),
      writerOfMarker: (marker) => writerOfMarker(marker, effects),
    })
    this.#base = journal.steps.length
    this.#log = log
  }

  /**
   * Makes the machine so. Asked again, what differs from the last time is undone and done anew. Throws HostError; then
   * nothing of it is left.
   */
  async apply(desired: DesiredState): Promise<AppliedState> {
    if (this.#desired) await this.undo()
    try {
      for (const step of await this.#machine.plan(desired)) {
        if (step.undo) this.#journal.record(step.undo)
        await this.#perform(step.do)
      }
      this.#desired = desired
      return this.#machine.applied
    } catch (error) {
      await this.undo()
      throw error
    }
  }

  async #perform(action: Action): Promise<void> {
    this.#log(describe(action))
    await this.#machine.perform(action)
  }

  /** Changes servers and domains; the mode stays what it was. Returns the domains that systemd-resolved did not take. */
  async updateDns(dns: DesiredState['dns']): Promise<string[]> {
    if (!this.#desired)
      throw new HostError('state', 'there is no connection whose names could be changed', 'connect first')
    if (!serversAreInside(this.#desired.addresses, dns.servers))
      throw new HostError(
        'bad-request',
        "a DNS server is outside of the TUN's own addresses",
        'this is a mistake of kt; please report it',
      )
    for (const action of this.#machine.planDns(dns, this.#journal.steps)) await this.#machine.perform(action)
    return this.#machine.applied.domainsLeftOut
  }

  /** What is not as `apply` made it. Changes nothing. */
  async look(): Promise<SystemFinding[]> {
    return this.#desired ? this.#machine.look() : []
  }

  /** Puts back what `look` has found. Rejects when that fails, and where nothing can be done. */
  async repair({ fault, repair }: SystemFinding): Promise<void> {
    if (!this.#desired) return
    this.#log(`${fault.message}; putting it back`)
    const { actions, amend } = this.#machine.planRepair(repair, this.#journal.steps)
    if (amend) this.#journal.amend(amend.old, amend.by)
    for (const action of actions) await this.#perform(action)
  }

  get mode(): AppliedState['dnsMode'] | undefined {
    return this.#desired && this.#machine.mode
  }

  /** The file that is ours while connected: resolv.conf, or what it leads to. */
  get resolvConfPath(): string {
    return this.#machine.resolvConfPath(this.#journal.steps)
  }

  /** Undoes all that `apply` did. The TUN stays, without addresses. */
  async undo(): Promise<UndoReport> {
    this.#desired = undefined
    return this.#journal.undo(this.#base)
  }
}
