// Errors on the way to a running engine, as `kt up` shows them.
import { ToldError } from '../../base/told-error.ts'

export class HelperError extends ToldError {
  override readonly name = 'HelperError'
}

/** What is told of any error: the typed ones speak for themselves. */
export function toFailure(error: unknown): { code: string; message: string; hint: string } {
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown }
  if (typeof code === 'string' && typeof message === 'string' && typeof hint === 'string')
    return { code, message, hint }
  return {
    code: 'internal',
    message: `the helper failed: ${typeof message === 'string' ? message : String(error)}`,
    hint: 'this is unexpected; please report it; `sudo kt down` puts everything back',
  }
}
