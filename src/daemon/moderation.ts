// Pauses between the turns of the event loop while much is downloaded. Data gathers meanwhile, so that each turn moves more of
// it. Network cards moderate their interrupts for the same reason. Without pauses the engine wakes up for each 16 KiB that the
// API server encrypts.
import type { Clock } from '../base/clock.ts'
import type { Path } from '../tunnel/index.ts'

/** Bytes per millisecond. Below this rate nothing waits. */
const BUSY = 50_000
/** The rate is measured over so long. */
const SLICE_MS = 20
/** A turn that moved so much shows that the engine is what limits the rate: it does not pause. */
const FULL_TURN_BYTES = 128 * 1024
/**
 * A message waits about 30 ms behind such a download, so this adds little. With 0.15 and 0.3 ms the engine took 10 and 13 %
 * less CPU time per GB. The throughput did not change.
 */
const PAUSE_MS = 0.25
/** A program that has sent something may wait for the answer so long. Nothing pauses meanwhile. */
const HURRY_MS = 100

export interface ModerationEffects {
  clock: Pick<Clock, 'now'>
  /** Calls `fire` at the end of the event loop's turn. */
  afterTurn(fire: () => void): void
  /** Stops the thread for `ms`. */
  pause(ms: number): void
}

const cell = new Int32Array(new SharedArrayBuffer(4))

export const processPauses: Pick<ModerationEffects, 'afterTurn' | 'pause'> = {
  afterTurn: (fire) => void setImmediate(fire),
  pause: (ms) => void Atomics.wait(cell, 0, 0, ms),
}

export class Moderation {
  readonly #effects: ModerationEffects
  #busy = false
  #sliceStart = 0
  #sliceBytes = 0
  #turnBytes = 0
  #scheduled = false
  #hurriedUntil = Number.NEGATIVE_INFINITY

  constructor(effects: ModerationEffects) {
    this.#effects = effects
  }

  /** So many bytes have come from the cluster. */
  passed(bytes: number): void {
    this.#sliceBytes += bytes
    const now = this.#effects.clock.now()
    const elapsed = now - this.#sliceStart
    if (elapsed >= SLICE_MS) {
      this.#busy = this.#sliceBytes > BUSY * elapsed
      this.#sliceStart = now
      this.#sliceBytes = 0
    }
    if (!this.#busy || now < this.#hurriedUntil) return
    this.#turnBytes += bytes
    if (this.#scheduled) return
    this.#scheduled = true
    this.#effects.afterTurn(this.#turnOver)
  }

  /** A program of this machine has sent something. */
  hurry(): void {
    if (this.#busy) this.#hurriedUntil = this.#effects.clock.now() + HURRY_MS
  }

  readonly #turnOver = (): void => {
    this.#scheduled = false
    const bytes = this.#turnBytes
    this.#turnBytes = 0
    if (bytes < FULL_TURN_BYTES && this.#effects.clock.now() >= this.#hurriedUntil) this.#effects.pause(PAUSE_MS)
  }
}

/** The same path; what it brings is told to `moderation`. */
export function moderated(path: Path, moderation: Pick<Moderation, 'passed'>): Path {
  return {
    ...path,
    start: (onData, onClose) =>
      path.start((chunk) => {
        onData(chunk)
        moderation.passed(chunk.length)
      }, onClose),
  }
}
