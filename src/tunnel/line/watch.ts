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

  /** Another path carries the line: no answer will come. */
  moved(): void {
    this.#first.forget()
  }

  /** There is a second path. */
  joined(): void {
    this.#second = new Probes()
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

  /** Is this an answer that is waited for? `counts`: no path was stalled, so it says something of the round trip. */
  answered(path: LinePath, body: Buffer, now: number, counts: boolean): boolean {
    return this.#line.carriedBy(path) && this.#of(path).answered(body, now, counts)
  }

  /** What is to be doubted, if anything is. */
  doubt(now: number): Doubt | undefined {
    const [path, second] = this.#line.paths
    if (!path) return undefined
    if (second) {
      const dead = this.#dead(second, path, now) ?? this.#dead(path, second, now)
      if (dead) return dead
    }
    const why = this.#first.doubt(now, this.#silentSince)
    return why === undefined ? undefined : { why, path: undefined }
  }

  /** `path` does not answer although `other` brings something. */
  #dead(path: LinePath, other: LinePath, now: number): Doubt | undefined {
    const probes = this.#of(path)
    const why = probes.doubt(now, undefined)
    return why !== undefined && other.heardAt > probes.sentAt! ? { why, path } : undefined
  }

  /** Since when nothing has come although bytes wait for an acknowledgement. One of two paths may be slow, and the other not. */
  get #silentSince(): number | undefined {
    const { waitingSince, paths } = this.#line
    if (waitingSince === undefined || paths.length < 2) return waitingSince
    return Math.max(waitingSince, ...paths.map(({ heardAt }) => heardAt))
  }

  #of(path: LinePath): Probes {
    return path === this.#line.current ? this.#first : this.#second
  }
}
