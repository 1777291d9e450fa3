// Errors on the way to a running engine, as `kt up` shows them.
import { ToldError } from '../../base/told-error.ts'

export class HelperError extends ToldError {
  override readonly name = 'HelperError'
}

/** kt lies in `root`, and `user` may not enter or read `path` there. */
export function closedToUser(user: string, path: string, root: string): HelperError {
  const quoted = /^[\w./-]+$/.test(root) ? root : `'${root.replaceAll("'", "'\\''")}'`
  return new HelperError(
    'closed-to-user',
    `kt runs as ${user}, who may not read it in ${root}: ${path} is closed to other users`,
    `copy it to where all may read it: \`sudo cp -aT ${quoted} /opt/kt && sudo chmod -R go+rX /opt/kt\`, then \`sudo /opt/kt/bin/kt up\``,
  )
}

/** What is told of any error: the typed ones speak for themselves. */
export function toFailure(error: unknown): { code: string; message: string; hint: string } {
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown }
  if (typeof code === 'string' && typeof message === 'string' && typeof hint === 'string')
    return { code, message, hint }
  return {
    code: 'internal',
    message: `the helper failed: ${typeof message === 'string' ? message : String(error)}`,
    hint: 'this is unexpected; please report it; `kt down` puts everything back',
  }
}
