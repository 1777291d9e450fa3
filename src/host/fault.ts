// What is not as it should be on this machine.
import * as z from 'zod/mini'

/** For the person who uses this machine. `code` is stable. */
export const Fault = z.object({
  code: z.string(),
  /** What and why, a sentence without a full stop. */
  message: z.string(),
  /** What to do. */
  hint: z.string(),
})
export type Fault = z.infer<typeof Fault>
