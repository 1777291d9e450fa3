// Memory for packets that have come.

/** Four packets of MAX_OWN_DATA, eight of 32 KiB; what an owner keeps of one keeps all of it. */
export const SLAB_BYTES = 260 * 1024

/** Spare slabs of all sessions together: 8 MiB. */
const MAX_SPARE = 32
const spare: Slab[] = []

/**
 * Memory for packets. Fresh memory for all that arrives makes V8 collect garbage several times a second (measured: a quarter
 * of the process's work at 400 MB/s), so it is used again when every packet in it has been let go.
 */
export class Slab {
  readonly bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #users = 1 // the one who fills it
  #kept = false

  /** A view of it is in use until `release`. */
  retain(): void {
    this.#users++
  }

  release(): void {
    if (--this.#users === 0 && !this.#kept && spare.length < MAX_SPARE) {
      this.#users = 1
      spare.push(this)
    }
  }

  /** Somebody keeps a view of it for good, so the slab is left to the garbage collector. */
  keep(): void {
    this.#kept = true
  }
}

/** One that somebody let go, or a new one. */
export function takeSlab(): Slab {
  return spare.pop() ?? new Slab()
}
