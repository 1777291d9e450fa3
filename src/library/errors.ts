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

/** A port that a Service has not, in the words of the option `port` instead of those of the command line. */
export function exposeError(error: KtError, port: number | string | undefined): KtError {
  const ports = /^(its ports are .*): use --expose LOCAL:REMOTE/s.exec(error.hint)?.[1]
  if (ports === undefined) return error
  // The server's own port was tried, which nobody had asked for.
  const message = port === undefined ? error.message.replace(/ has no port .*$/, ' has several ports') : error.message
  return new KtError(error.code, message, `${ports}: name one of them in the option \`port\``, { cause: error })
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
