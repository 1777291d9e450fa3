// For readers of byte streams: what one makes of a stream does not depend on how the network cut it.
import assert from 'node:assert/strict'
import type { Random } from './random.ts'

/** Reads `pieces` and returns what it saw, as text. An Error that `refuses` is the reader's right. */
export type Reader = (pieces: readonly Buffer[]) => string[]

export function sameHoweverCut(read: Reader, input: Buffer, random: Random): void {
  const whole = read([input])
  assert.deepEqual(read(random.cut(Buffer.from(input))), whole)
}

/** Runs `push` for each piece; an error that `expected` knows ends the reading and is part of what was seen. */
export function readAll(
  pieces: readonly Buffer[],
  push: (piece: Buffer) => void,
  expected: (error: Error) => boolean,
  seen: string[],
): string[] {
  for (const piece of pieces) {
    try {
      push(piece)
    } catch (error) {
      if (!expected(error as Error)) throw error
      seen.push(`refused: ${(error as Error).message}`)
      return seen
    }
  }
  return seen
}
