// Whether the paths of a client's line are alive: asks those that bring nothing, and says which is to be doubted.
import type { Line } from './line.ts'
import type { LinePath } from './line-path.ts'
import { Probes } from './probes.ts'

/** A path that brings nothing is asked so often whether it is alive. */
const PROBE_EVERY_MS = 2_500

export interface Doubt {
  why: string
  /** One of two, while the other one is alive. Undefined: all that carries the line. */
  path: LinePath | undefined
}

export class Watch {
  readonly #line: Line
  /** Of the path that carries the line, and of a second one. */
  #first = new Probes()
  #second = new Probes()

  constructor(line: Line) {
    this.#line = line
  }

  /** Of the path that carries the line, ms. */
  get roundTripMs(): number | undefined {
    return this.#first.roundTripMs
  }

  /** The opening of the line took `tripMs`. */
  opened(tripMs: number): void {
    this.#first.measured(tripMs)
  }

  /** Another path carries the line, and its opening took `tripMs`. */
  moved(tripMs: number): void {
    this.#first = new Probes()
    this.#first.measured(tripMs)
  }

  /** There is a second path, whose opening took `tripMs`. */
  joined(tripMs: number): void {
    this.#second = new Probes()
    this.#second.measured(tripMs)
  }

  /** The second path is the only one now. */
  promoted(): void {
    this.#first = this.#second
  }

  /** Asks all paths now. */
  askAll(now: number): void {
    for (const path of this.#line.paths) this.#of(path).send(path, now)
  }

  /** Asks a path that has brought nothing for a while. Of two both are asked: what one says tells of the other, too. */
  ask(now: number): void {
    const unasked = this.#line.paths.filter((path) => this.#of(path).sentAt === undefined)
    if (!unasked.some(({ heardAt }) => now - heardAt > PROBE_EVERY_MS)) return
    for (const path of unasked) this.#of(path).send(path, now)
  }

  /** Is this an answer that is waited for? `measures`: no path was stalled, so it says something of the round trip. */
  takeAnswer(path: LinePath, body: Buffer, now: number, measures: boolean): boolean {
    return this.#line.carriedBy(path) && this.#of(path).takeAnswer(body, now, measures)
  }

  /** What is to be doubted, if anything is. */
  doubt(now: number): Doubt | undefined {
    const [path, second] = this.#line.paths
    if (!path) return undefined
    if (second) {
      const dead = this.#dead(second, path, now) ?? this.#dead(path, second, now)
      if (dead) return dead
    }
    const why = this.#first.doubt(now, this.#silentSince, path.heardAt)
    return why === undefined ? undefined : { why, path: undefined }
  }

  /** `path` does not answer although `other` brings something. */
  #dead(path: LinePath, other: LinePath, now: number): Doubt | undefined {
    const probes = this.#of(path)
    const why = probes.doubt(now, undefined, path.heardAt)
    return why !== undefined && other.heardAt > probes.sentAt! ? { why, path } : undefined
  }

  /** Since when bytes have waited for an acknowledgement, or a probe for its answer; undefined if nothing waits. */
  get waitingSince(): number | undefined {
    const waiting = [this.#line.waitingSince, this.#first.sentAt].filter((since) => since !== undefined)
    return waiting.length > 0 ? Math.min(...waiting) : undefined
  }

  /** When one of the paths has brought something last; undefined if there is none. */
  get heardAt(): number | undefined {
    const { paths } = this.#line
    return paths.length > 0 ? Math.max(...paths.map(({ heardAt }) => heardAt)) : undefined
  }

  /** Since when nothing has come although bytes wait for an acknowledgement. One of two paths may be slow, and the other not. */
  get #silentSince(): number | undefined {
    const { waitingSince, paths } = this.#line
    return waitingSince === undefined || paths.length < 2 ? waitingSince : Math.max(waitingSince, this.heardAt!)
  }

  #of(path: LinePath): Probes {
    return path === this.#line.current ? this.#first : this.#second
  }
}
