// Errors of kt's parts, as the library gives them.
import { KtError } from './api.ts'

/** `error` if it is one already. */
export function ktError(error: unknown): KtError {
  if (error instanceof KtError) return error
  const { code, message, hint, name } = error as { code?: unknown; message?: string; hint?: unknown; name?: string }
  if (name === 'AbortError') return aborted(error)
  const known = typeof code === 'string' ? code : 'unexpected'
  return new KtError(known, message ?? String(error), typeof hint === 'string' ? hint : '', { cause: error })
}

/** A signal has ended it, with `reason`. */
export function aborted(reason: unknown): KtError {
  return new KtError('ABORT_ERR', 'given up, since the signal was aborted', '', { cause: reason })
}

/** As `promise`, unless the signal is aborted first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise
  promise.catch(() => {}) // nobody may be there any more to hear of it
  const { promise: given, reject } = Promise.withResolvers<never>()
  const abort = () => reject(aborted(signal.reason))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, given])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
