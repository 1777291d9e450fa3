// Keeps the machine as kt made it while connected. What another program changes is put back, a few times a minute: a
// program that insists wins for a while, and the person who uses the machine is told.
import type { Fault } from './fault.ts'
import type { Finding } from './machine.ts'

// A DHCP lease writes resolv.conf once an hour. A program that writes it three times in a minute insists on its version.
const MOST_REPAIRS = 3
const WITHIN_MS = 60_000
// How long kt then leaves it alone. After that the program may have ended, and one repair shows whether it has.
const LEFT_ALONE_MS = 5 * 60_000

/** What of a Host this needs. */
export interface Guarded {
  look(): Promise<Finding[]>
  /** Rejects when it cannot be put back. */
  repair(finding: Finding): Promise<void>
}

export interface Look {
  /** What is not as it should be now. */
  faults: Fault[]
  /** What was, and was put back. */
  repaired: Fault[]
  /**
   * The resolvers that another program has put into resolv.conf, what a person should know of its lines, and whether ours
   * were put back over them.
   */
  resolvConf?: { upstreams: string[]; notes: string[]; reclaimed: boolean }
}

export class MachineGuard {
  readonly #host: Guarded
  readonly #now: () => number
  readonly #repairs = new Map<string, { times: number[]; leftUntil: number }>()

  constructor(host: Guarded, now: () => number) {
    this.#host = host
    this.#now = now
  }

  /** Looks once, and puts back what may be. Rejects if the machine cannot be looked at. */
  async check(): Promise<Look> {
    const found = await this.#host.look()
    const faults = new Map<string, Fault>()
    const repaired: Fault[] = []
    for (const finding of found) {
      const outcome = await this.#handle(finding)
      if (outcome === 'repaired') repaired.push(finding.fault)
      else faults.set(finding.fault.code, outcome)
    }
    // What is still there after it was put back was not put back.
    if (repaired.length > 0)
      for (const { fault } of await this.#host.look()) if (!faults.has(fault.code)) faults.set(fault.code, fault)
    const rewritten = found.find(({ upstreams }) => upstreams !== undefined)
    return {
      faults: [...faults.values()],
      repaired: repaired.filter(({ code }) => !faults.has(code)),
      ...(rewritten && {
        resolvConf: {
          upstreams: rewritten.upstreams!,
          notes: rewritten.notes ?? [],
          reclaimed: !faults.has(rewritten.fault.code),
        },
      }),
    }
  }

  async #handle(finding: Finding): Promise<Fault | 'repaired'> {
    const { fault } = finding
    if (finding.repair === undefined) return fault
    const again = this.#mayRepair(fault.code)
    if (!again) {
      const message = `${fault.message}; kt has put that back ${MOST_REPAIRS} times within a minute and leaves it now`
      return { ...fault, message }
    }
    try {
      await this.#host.repair(finding)
      return 'repaired'
    } catch (error) {
      const { message } = error as Error
      return { ...fault, message: `${fault.message}, and it cannot be put back: ${message.split('\n')[0]}` }
    }
  }

  #mayRepair(code: string): boolean {
    const now = this.#now()
    const known = this.#repairs.get(code) ?? { times: [], leftUntil: Number.NEGATIVE_INFINITY }
    this.#repairs.set(code, known)
    if (now < known.leftUntil) return false
    known.times = known.times.filter((time) => now - time < WITHIN_MS)
    if (known.times.length >= MOST_REPAIRS) {
      known.leftUntil = now + LEFT_ALONE_MS
      known.times = []
      return false
    }
    known.times.push(now)
    return true
  }
}
