// A bad line in front of a device, for tests: frames are dropped, doubled or swapped in both directions, as a seeded
// source says, so a failing run can be repeated.
import type { FrameSink, TunDevice } from './device.ts'

/** Probabilities, 0 to 1. */
export interface Faults {
  drop?: number
  duplicate?: number
  /** A frame is held back and sent behind the next one of its direction. */
  reorder?: number
}

/** `random` is uniform in 0 .. 2^32 - 1. `flush` releases frames that are held back, in both directions. */
export interface FaultyTunDevice extends TunDevice {
  flush(): void
}

export function withFaults(inner: TunDevice, faults: Faults, random: () => number): FaultyTunDevice {
  const out = new BadLine(faults, random, (buffer, offsets, lengths, count) => {
    inner.write(buffer, offsets, lengths, count)
  })
  let incoming: BadLine | undefined
  return {
    name: inner.name,
    get mtu() {
      return inner.mtu
    },
    start(receive, onError) {
      const line = new BadLine(faults, random, receive)
      incoming = line
      inner.start((buffer, offsets, lengths, count) => line.pass(buffer, offsets, lengths, count), onError)
    },
    write(buffer, offsets, lengths, count) {
      out.pass(buffer, offsets, lengths, count)
      return count
    },
    flush() {
      out.flush()
      incoming?.flush()
    },
    close() {
      inner.close()
    },
  }
}

class BadLine {
  readonly #faults: Faults
  readonly #random: () => number
  readonly #next: FrameSink
  #held: Uint8Array | undefined

  constructor(faults: Faults, random: () => number, next: FrameSink) {
    this.#faults = faults
    this.#random = random
    this.#next = next
  }

  pass(buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number): void {
    const frames: Uint8Array[] = []
    for (let i = 0; i < count; i++) {
      const frame = buffer.slice(offsets[i], offsets[i] + lengths[i])
      if (this.#happens(this.#faults.drop)) continue
      if (!this.#held && this.#happens(this.#faults.reorder)) {
        this.#held = frame
        continue
      }
      frames.push(frame)
      if (this.#happens(this.#faults.duplicate)) frames.push(frame)
      if (this.#held) {
        frames.push(this.#held)
        this.#held = undefined
      }
    }
    this.#emit(frames)
  }

  flush(): void {
    if (!this.#held) return
    const held = this.#held
    this.#held = undefined
    this.#emit([held])
  }

  #happens(probability = 0): boolean {
    return probability > 0 && this.#random() < probability * 2 ** 32
  }

  #emit(frames: Uint8Array[]): void {
    if (frames.length === 0) return
    const lengths = Uint32Array.from(frames, (frame) => frame.length)
    const offsets = new Uint32Array(frames.length)
    for (let i = 1; i < frames.length; i++) offsets[i] = offsets[i - 1] + lengths[i - 1]
    const buffer = new Uint8Array(offsets[frames.length - 1] + lengths[frames.length - 1])
    frames.forEach((frame, i) => {
      buffer.set(frame, offsets[i])
    })
    this.#next(buffer, offsets, lengths, frames.length)
  }
}
