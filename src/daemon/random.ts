// Random numbers for whoever takes them as a function.
import { randomBytes } from 'node:crypto'

/** Uniform numbers of 32 bits from the system's generator, drawn in blocks. */
export function uniform32(): () => number {
  let block = new Uint32Array(0)
  let next = 0
  return () => {
    if (next === block.length) {
      block = new Uint32Array(new Uint8Array(randomBytes(1024)).buffer)
      next = 0
    }
    return block[next++]
  }
}
