// Two devices that are connected without loss: the other one receives what is written to one, synchronously or when the test
// says so. It is for tests of code that uses a TUN.
import type { FrameSink, TunDevice } from './device.ts'

export interface MemoryTunPair {
  a: TunDevice
  b: TunDevice
  /**
   * Delivers the waiting frames, one batch per device and round, until none wait or `rounds` are over. Returns how many.
   * Frames wait here, not on the call stack, so two stacks may answer each other without end.
   */
  deliver(rounds?: number): number
}

export interface MemoryTunOptions {
  mtu?: number
  /** How many frames one direction holds. Further ones are dropped, as with a TUN's txqueuelen. */
  queue?: number
}

/** Makes two devices, `mem0` and `mem1`. */
export function memoryTunPair({ mtu = 1500, queue = 10_000 }: MemoryTunOptions = {}): MemoryTunPair {
  const a = new MemoryTun('mem0', mtu, queue)
  const b = new MemoryTun('mem1', mtu, queue)
  a.peer = b
  b.peer = a
  return {
    a,
    b,
    deliver(rounds = Number.POSITIVE_INFINITY): number {
      let total = 0
      for (let round = 0; round < rounds; round++) {
        const moved = a.deliver() + b.deliver()
        if (moved === 0) break
        total += moved
      }
      return total
    },
  }
}

class MemoryTun implements TunDevice {
  readonly name: string
  readonly mtu: number
  readonly #limit: number
  peer!: MemoryTun
  #queue: Uint8Array[] = []
  #receive: FrameSink | undefined
  #closed = false

  constructor(name: string, mtu: number, limit: number) {
    this.name = name
    this.mtu = mtu
    this.#limit = limit
  }

  start(receive: FrameSink): void {
    if (this.#receive || this.#closed) throw new Error(`${this.name} is started or closed`)
    this.#receive = receive
  }

  write(buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number): number {
    if (this.#closed || this.peer.#closed) return 0
    const room = Math.min(count, this.#limit - this.peer.#queue.length)
    for (let i = 0; i < room; i++) this.peer.#queue.push(buffer.slice(offsets[i], offsets[i] + lengths[i]))
    return Math.max(0, room)
  }

  /** Gives what has come to the receiver, as one batch. */
  deliver(): number {
    if (!this.#receive || this.#closed || this.#queue.length === 0) return 0
    const frames = this.#queue
    this.#queue = []
    const offsets = new Uint32Array(frames.length)
    const lengths = new Uint32Array(frames.length)
    const buffer = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0))
    let position = 0
    frames.forEach((frame, i) => {
      buffer.set(frame, position)
      offsets[i] = position
      lengths[i] = frame.length
      position += frame.length
    })
    this.#receive(buffer, offsets, lengths, frames.length)
    return frames.length
  }

  close(): void {
    this.#closed = true
    this.#queue = []
  }
}
