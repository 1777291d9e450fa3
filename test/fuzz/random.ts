// Seeded randomness: the same seed makes the same inputs on every machine.

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** mulberry32: 32 bits of state are enough, since each input has a seed of its own. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }

  /** From 0 up to and without `below`. */
  int(below: number): number {
    return this.next() % below
  }

  /** True in `percent` of 100. */
  chance(percent: number): boolean {
    return this.int(100) < percent
  }

  pick<T>(of: readonly T[]): T {
    return of[this.int(of.length)]
  }

  bytes(most: number): Buffer {
    const bytes = Buffer.alloc(this.int(most + 1))
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next()
    return bytes
  }

  /** A number where off-by-ones and overflows live. */
  edge(): number {
    return this.pick([
      0, 1, 2, 3, 7, 8, 9, 126, 127, 128, 255, 256, 0x3fff, 0x4000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
    ])
  }

  /** The bytes with some of them changed, left out or doubled. */
  mutate(bytes: Buffer): Buffer {
    let changed = Buffer.from(bytes)
    for (let times = 1 + this.int(4); times > 0 && changed.length > 0; times--) {
      const at = this.int(changed.length)
      const to = Math.min(changed.length, at + 1 + this.int(8))
      switch (this.int(5)) {
        case 0:
          changed[at] = this.next()
          break
        case 1:
          changed[at] ^= 1 << this.int(8)
          break
        case 2:
          changed = Buffer.concat([changed.subarray(0, at), changed.subarray(to)])
          break
        case 3:
          changed = Buffer.concat([changed.subarray(0, to), changed.subarray(at)])
          break
        case 4:
          changed = changed.subarray(0, at)
          break
      }
    }
    return changed
  }

  /** The bytes in pieces, as a network may bring them. */
  cut(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = []
    for (let p = 0; p < bytes.length; ) {
      const size = 1 + this.int(this.chance(50) ? 4 : bytes.length)
      pieces.push(bytes.subarray(p, p + size))
      p += size
    }
    return pieces
  }
}
