// An area of fuzzing: one file in areas/, named after it, whose default export this is.
import type { Random } from './random.ts'

export interface Area {
  /** What is held against what, in a line. */
  readonly about: string
  /** Makes one input. The harness also mutates inputs, so any bytes may come to `attempt`. */
  make(random: Random): Buffer
  start(): Subject | Promise<Subject>
}

export interface Subject {
  /** Throws or rejects when the input has found something. `random` is the input's own, for how it is cut or timed. */
  attempt(input: Buffer, random: Random): void | Promise<void>
  /** Called at the end, and may find something too. */
  stop?(): void | Promise<void>
}
