// What a line says of itself: whether it is open, why not, and what became of its gaps.
import type { LineReport } from '../tunnel.ts'
import { SUSPECT_MS } from './probes.ts'

/** A report asks for these each time, because they change without it. */
type Paths = Pick<LineReport, 'paths' | 'wantedPaths' | 'missingPath'>

export class LineState {
  #report: Omit<LineReport, keyof Paths>
  readonly #paths: () => Paths
  readonly #changed: (report: LineReport) => void
  /** Since when something had waited when the line was broken; undefined if nothing had. */
  #waitingSince: number | undefined

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
    const paths = this.#paths()
    // A path that does not answer carries nothing.
    return { ...this.#report, ...paths, paths: this.name === 'interrupted' ? [] : paths.paths }
  }

  get name(): LineReport['state'] {
    return this.#report.state
  }

  get roundTripMs(): number | undefined {
    return this.#report.roundTripMs
  }

  set roundTripMs(roundTripMs: number | undefined) {
    this.#change({ roundTripMs })
  }

  /** Another path is looked for. `waitingSince`: since when something has waited for an answer, if it has. */
  broken(state: 'suspected' | 'interrupted', cause: string, now: number, waitingSince: number | undefined): void {
    this.#waitingSince = waitingSince
    this.#change({ state, cause, since: now })
  }

  /** Another path is looked for, and what there is brought something last at `heardAt`; undefined if there is none. */
  searching(now: number, heardAt = Number.NEGATIVE_INFINITY): void {
    const state = now - heardAt > SUSPECT_MS ? 'interrupted' : 'suspected'
    if (state !== this.name) this.#change({ state })
  }

  resumed(): void {
    this.#change({ resumptions: this.#report.resumptions + 1 })
  }

  moved(): void {
    this.#change({ moves: this.#report.moves + 1 })
  }

  /**
   * Ends what was broken; returns how long nothing got through, ms. That is no gap when a path that was suspected has answered
   * soon, nor when nothing had waited for the new one: `waitedFor` says since when something had.
   */
  mended(now: number, over: 'new' | 'old', waitedFor?: number): number {
    const { cause = '', since, lastGap } = this.#report
    const waitingSince = this.#waitingSince ?? waitedFor
    const ms = now - (waitingSince ?? since)
    const isGap = ms > SUSPECT_MS || (over === 'new' && waitingSince !== undefined)
    this.#change({ state: 'open', cause: undefined, since: now, lastGap: isGap ? { ms, cause } : lastGap })
    return ms
  }

  /** The paths, or why there are not more of them, have changed. */
  pathsChanged(): void {
    this.#change({})
  }

  #change(change: Partial<LineReport>): void {
    this.#report = { ...this.#report, ...change }
    this.#changed(this.report)
  }
}
