// Randomness, handed in by the composition root, so that tests can repeat what it led to.
import { randomBytes } from 'node:crypto'

/** `size` bytes that nobody can guess. */
export type RandomBytes = (size: number) => Buffer

/** The system's generator: for composition roots. */
export const systemRandom: RandomBytes = (size) => randomBytes(size)
