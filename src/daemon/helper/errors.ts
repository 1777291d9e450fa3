// Errors on the way to a running engine, as `kt up` shows them.

export class HelperError extends Error {
  readonly code: string
  readonly hint: string

  constructor(code: string, message: string, hint: string) {
    super(message)
    this.name = 'HelperError'
    this.code = code
    this.hint = hint
  }
}

/** What is told of any error: the typed ones speak for themselves. */
export function toFailure(error: unknown): { code: string; message: string; hint: string } {
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown }
  if (typeof code === 'string' && typeof message === 'string' && typeof hint === 'string')
    return { code, message, hint }
  return {
    code: 'internal',
    message: `the helper failed: ${typeof message === 'string' ? message : String(error)}`,
    hint: 'this is unexpected, please report it; `sudo kt down` puts everything back',
  }
}
