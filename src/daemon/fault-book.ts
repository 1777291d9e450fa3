// What is wrong now, by who has found it, and since when. A fault stays until the one who found it says that it is gone.
import type { StatusFault } from '../control/protocol.ts'
import type { Fault } from '../host/fault.ts'

export class FaultBook {
  readonly #faults = new Map<unknown, StatusFault[]>()
  readonly #date: () => string
  readonly #log: (line: string) => void

  /** `date`: the time of day, ISO 8601. */
  constructor(date: () => string, log: (line: string) => void) {
    this.#date = date
    this.#log = log
  }

  /** What `source` finds wrong now, in place of what it found before. */
  set(source: unknown, faults: readonly Fault[]): void {
    const before = this.#faults.get(source) ?? []
    const since = (fault: Fault) => before.find(({ code }) => code === fault.code)?.since ?? this.#date()
    const now = faults.map(({ code, message, hint }) => ({
      code,
      message,
      hint,
      since: since({ code, message, hint }),
    }))
    if (now.length > 0) this.#faults.set(source, now)
    else this.#faults.delete(source)
    for (const fault of now)
      if (!before.some(({ code, message }) => code === fault.code && message === fault.message))
        this.#log(`fault: ${fault.message}`)
    for (const { code, message } of before)
      if (!now.some((fault) => fault.code === code)) this.#log(`no longer: ${message}`)
  }

  get faults(): StatusFault[] {
    return [...this.#faults.values()].flat()
  }
}
