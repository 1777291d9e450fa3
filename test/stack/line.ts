// Two stacks and a line between them in virtual time: with a seed, so that a run can be repeated. The line delays, loses,
// repeats and reorders frames, and can cut super-segments as a network card would.
import { createStack, type Stack, type StackOptions } from '../../src/stack/index.ts'
import { cutSegments } from './cut.ts'

export interface Impairment {
  /** One way, in ms. */
  delay?: number
  /** Further delay, uniform: reorders. */
  jitter?: number
  /** Chance of a frame to be lost. */
  loss?: number
  duplicate?: number
  /** Bytes a second; frames queue behind each other. */
  rate?: number
  /** Frames that fit into the queue before the line. */
  queue?: number
  /** Cut super-segments into packets before all this happens to them. */
  cut?: boolean
}

/** xorshift32: uniform in 0 .. 2^32 - 1. */
export function seeded(seed: number): () => number {
  let state = seed | 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

interface InFlight {
  at: number
  order: number
  to: 0 | 1
  frame: Uint8Array
}

export class Line {
  now = 0
  readonly stacks: [Stack, Stack]
  frames = 0
  lost = 0
  private readonly impairment: Impairment
  private readonly random: () => number
  private readonly flying: InFlight[] = []
  private readonly freeAt = [0, 0]
  private order = 0
  /** Sees every frame that is put on the line; false drops it. */
  filter: ((frame: Uint8Array, to: 0 | 1) => boolean) | undefined

  constructor(impairment: Impairment = {}, seed = 1, options: Partial<StackOptions> = {}) {
    this.impairment = impairment
    this.random = seeded(seed)
    const make = (side: 0 | 1): Stack =>
      createStack({
        mtu: 1500,
        gso: true,
        random: seeded(seed * 31 + side + 1),
        output: (buffer, offsets, lengths, count) => {
          for (let i = 0; i < count; i++)
            this.put(buffer.slice(offsets[i], offsets[i] + lengths[i]), side === 0 ? 1 : 0)
        },
        ...options,
      })
    this.stacks = [make(0), make(1)]
  }

  private chance(p: number | undefined): boolean {
    return p !== undefined && p > 0 && this.random() < p * 2 ** 32
  }

  private put(frame: Uint8Array, to: 0 | 1): void {
    const all = this.impairment.cut ? cutSegments(frame) : [frame]
    for (const one of all) {
      this.frames++
      if (this.filter && !this.filter(one, to)) {
        this.lost++
        continue
      }
      this.fly(one, to)
      if (this.chance(this.impairment.duplicate)) this.fly(one, to)
    }
  }

  private fly(frame: Uint8Array, to: 0 | 1): void {
    const { delay = 0, jitter = 0, loss, rate, queue = 1000 } = this.impairment
    let leaves = this.now
    if (rate) {
      const wait = Math.max(0, this.freeAt[to] - this.now)
      if (wait > (queue * 1500 * 1000) / rate) {
        this.lost++
        return
      }
      leaves = this.now + wait + (frame.length * 1000) / rate
      this.freeAt[to] = leaves
    }
    if (this.chance(loss)) {
      this.lost++
      return
    }
    const at = leaves + delay + (jitter > 0 ? (this.random() / 2 ** 32) * jitter : 0)
    const flight = { at, order: this.order++, to, frame }
    // Insertion from the back: nearly always the place is there.
    let i = this.flying.length
    while (i > 0 && this.flying[i - 1].at > at) i--
    this.flying.splice(i, 0, flight)
  }

  /** Both sides send what they have. */
  flush(): void {
    for (const stack of this.stacks) stack.flush(this.now)
  }

  /** Runs until nothing happens any more before `until`, or `done` says so. Returns whether `done` did. */
  run(until: number, done: () => boolean = () => false): boolean {
    this.flush()
    for (let turns = 0; turns < 5_000_000; turns++) {
      if (done()) return true
      const next = Math.min(
        this.flying[0]?.at ?? Infinity,
        this.stacks[0].nextDeadline(),
        this.stacks[1].nextDeadline(),
      )
      if (next > until) break
      this.now = Math.max(this.now, next)
      let arrived = false
      while (this.flying.length > 0 && this.flying[0].at <= this.now) {
        const { to, frame } = this.flying.shift() as InFlight
        this.stacks[to].input(frame, Uint32Array.of(0), Uint32Array.of(frame.length), 1, this.now)
        arrived = true
      }
      for (const stack of this.stacks) if (stack.nextDeadline() <= this.now) stack.tick(this.now)
      if (arrived) this.flush()
    }
    if (until !== Infinity) this.now = Math.max(this.now, until)
    return done()
  }
}
