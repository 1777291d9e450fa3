// What the helper and the engine say to each other over Node's IPC channel. The helper trusts nothing of it that has not
// passed these schemas: the engine runs as an ordinary user.
import * as z from 'zod/mini'
import { type AppliedState, DesiredDns, DesiredState } from '../../host/desired.ts'
import type { Fault } from '../../host/findings.ts'

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

export type HelperAnswer =
  | { id: number; ok: true; applied?: AppliedState; domainsLeftOut?: string[]; faults?: Fault[] }
  | { id: number; ok: false; error: { code: string; message: string; hint: string } }

/** Helper to engine. `config` comes first and once: the line that `kt up` wrote, unread. */
export type HelperEvent =
  | { event: 'config'; line: string }
  | { event: 'resolv-conf-changed'; upstreams: string[]; notes: string[]; reclaimed: boolean }
  /** The machine was looked at: what is not as kt made it, and what was put back. Not told twice in a row alike. */
  | { event: 'machine'; faults: Fault[]; repaired: Fault[] }
  /** The kernel has told of a change of a link, an address, a route or a rule. Several at once are told as one. */
  | { event: 'kernel' }
  | { event: 'terminate' }

/** Engine to helper, handed on to `kt up` as a line of JSON. Its other fields are the two ends' business. */
export const CallerLine = z.looseObject({ type: z.enum(['progress', 'ready', 'failed']) })
export type CallerLine = z.infer<typeof CallerLine>

/** The longest line in either direction, in characters. */
export const LONGEST_LINE = 64 * 1024
