// What the command line asks of the helper through its socket, as one line of JSON. Whose call it is the helper learns from
// the kernel: nothing in it names a user, a path that is opened, or a command.
import * as z from 'zod/mini'

/** Which kt calls: the helper serves its own program in its own version only, since the two share an engine. */
const self = { program: z.string(), version: z.string() }

export const HelperCall = z.discriminatedUnion('op', [
  /** Is it there, and of this kt? */
  z.strictObject({ ...self, op: z.literal('hello') }),
  /** As `helper up`. The line after it is the configuration. */
  z.strictObject({ ...self, op: z.literal('up'), foreground: z.boolean() }),
  /** As `helper undo --end`, for the caller's own kt. */
  z.strictObject({ ...self, op: z.literal('undo') }),
])
export type HelperCall = z.infer<typeof HelperCall>

/** The first line of the answer, unless it is `failed`. What follows to `up` is as without a socket. */
export const TAKEN = { type: 'taken' } as const

/** `failed` with this code: the helper belongs to another kt. */
export const OTHER_PROGRAM = 'other-program'
