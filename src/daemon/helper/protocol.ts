// What the helper and the engine say to each other over Node's IPC channel. The types of both ends come from these schemas.
// The helper trusts nothing that has not passed them: the engine runs as an ordinary user.
import * as z from 'zod/mini'
import { AppliedState, DesiredDns, DesiredState } from '../../host/desired.ts'
import { Fault } from '../../host/fault.ts'

const id = z.int().check(z.nonnegative())

/** Engine to helper; each is answered by an Answer with its id. */
export const HelperRequest = z.discriminatedUnion('op', [
  z.strictObject({ id, op: z.literal('apply'), state: DesiredState }),
  z.strictObject({ id, op: z.literal('updateDns'), dns: DesiredDns }),
  /** Looks at the machine now, and puts back what may be. */
  z.strictObject({ id, op: z.literal('look') }),
  z.strictObject({ id, op: z.literal('undo') }),
])
export type HelperRequest = z.infer<typeof HelperRequest>

/** Each answers the request of its id. */
const HelperAnswer = z.discriminatedUnion('ok', [
  z.object({
    id,
    ok: z.literal(true),
    applied: z.optional(AppliedState),
    domainsLeftOut: z.optional(z.array(z.string())),
    faults: z.optional(z.array(Fault)),
  }),
  z.object({ id, ok: z.literal(false), error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) }),
])
export type HelperAnswer = z.infer<typeof HelperAnswer>

const HelperEvent = z.discriminatedUnion('event', [
  /** Comes first and once: the line that `kt up` wrote, unread. */
  z.object({ event: z.literal('config'), line: z.string() }),
  z.object({
    event: z.literal('resolv-conf-changed'),
    upstreams: z.array(z.string()),
    notes: z.array(z.string()),
    reclaimed: z.boolean(),
  }),
  /** The machine was looked at: what is not as kt made it, and what was put back. Not told twice in a row alike. */
  z.object({ event: z.literal('machine'), faults: z.array(Fault), repaired: z.array(Fault) }),
  /** The kernel has told of a change of a link, an address, a route or a rule. Several at once are told as one. */
  z.object({ event: z.literal('kernel') }),
  z.object({ event: z.literal('terminate') }),
])
export type HelperEvent = z.infer<typeof HelperEvent>

/** Helper to engine. */
export const HelperMessage = z.union([HelperAnswer, HelperEvent])

/** Engine to helper, handed on to `kt up` as a line of JSON. Its other fields are the two ends' business. */
export const CallerLine = z.looseObject({ type: z.enum(['progress', 'ready', 'failed']) })
export type CallerLine = z.infer<typeof CallerLine>

/** The longest line in either direction, in characters. */
export const LONGEST_LINE = 64 * 1024
