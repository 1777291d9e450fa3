// What a line says of itself: whether it is open, why not, and what became of its gaps.
import type { LineReport } from '../tunnel.ts'

/** What is asked when a report is made, since it changes by itself. */
type Paths = Pick<LineReport, 'paths' | 'wantedPaths' | 'missingPath'>

export class LineState {
  #report: Omit<LineReport, keyof Paths>
  readonly #paths: () => Paths
  readonly #changed: (report: LineReport) => void

  constructor(now: number, paths: () => Paths, changed: (report: LineReport) => void) {
    this.#paths = paths
    this.#changed = changed
    this.#report = {
      state: 'open',
      cause: undefined,
      since: now,
      resumptions: 0,
      moves: 0,
      lastGap: undefined,
      roundTripMs: undefined,
    }
  }

  get report(): LineReport {
    return { ...this.#report, ...this.#paths() }
  }

  get name(): LineReport['state'] {
    return this.#report.state
  }

  get since(): number {
    return this.#report.since
  }

  get roundTripMs(): number | undefined {
    return this.#report.roundTripMs
  }

  set roundTripMs(roundTripMs: number | undefined) {
    this.#change({ roundTripMs })
  }

  broken(state: 'suspected' | 'interrupted', cause: string, now: number): void {
    this.#change({ state, cause, since: now })
  }

  /** What was suspected is as good as lost. */
  interrupted(): void {
    this.#change({ state: 'interrupted' })
  }

  resumed(): void {
    this.#change({ resumptions: this.#report.resumptions + 1 })
  }

  moved(): void {
    this.#change({ moves: this.#report.moves + 1 })
  }

  /** Resolves what was broken; returns how long that was, ms. */
  mended(now: number): number {
    const { cause = '', since } = this.#report
    this.#change({ state: 'open', cause: undefined, since: now, lastGap: { ms: now - since, cause } })
    return now - since
  }

  /** Something about the paths is different. */
  pathsChanged(): void {
    this.#change({})
  }

  #change(change: Partial<LineReport>): void {
    this.#report = { ...this.#report, ...change }
    this.#changed(this.report)
  }
}
