// What `kt check` asks of the program that does it, and the lines it prints: JSON, one a check, as each is done.
import * as z from 'zod/mini'
import { ShadowConfig } from './config.ts'

export const CheckRequest = z.object({
  config: ShadowConfig,
  include: z.array(z.string()),
  exclude: z.array(z.string()),
  /** Make a shadow, try what only a running one can tell, and remove it. */
  tryShadow: z.boolean(),
  /** How root can be had: this is root, the helper's socket serves the caller, there is a sudo, none of these. */
  root: z.enum(['root', 'socket', 'sudo', 'none']),
})
export type CheckRequest = z.infer<typeof CheckRequest>

export type CheckState = 'ok' | 'warning' | 'failed'

export interface CheckLine {
  group: 'machine' | 'cluster' | 'rights' | 'shadow'
  /** Stable within its group. */
  name: string
  state: CheckState
  /** What was found. */
  result: string
  /** What to do; empty when all is well. */
  advice: string
}

/** What a credential plugin says, while it runs. */
export interface CheckSaid {
  said: string
}

/** The last line of the output. */
export interface CheckEnd {
  /** What was not tried, and what would try it. */
  notTried: string[]
}
