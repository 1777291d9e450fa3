// Where the control socket and the log of a user are: the command line, the helper and the engine must agree.
import { join } from 'node:path'

export const RUN_FOLDER = '/run/kt'

/** The folder the helper makes for one user, mode 0700. */
export function controlFolder(uid: number, run = RUN_FOLDER): string {
  return `${run}/${uid}`
}

export function controlSocket(uid: number): string {
  return join(controlFolder(uid), 'control.sock')
}

/**
 * The engine's log, below XDG_STATE_HOME (an absolute path, else it does not count: XDG Base Directory Specification) or
 * its default. sudo drops that variable, so who looks for the log looks in both places.
 */
export function logFile(home: string, env: NodeJS.ProcessEnv): string {
  const state = env['XDG_STATE_HOME']
  return join(state?.startsWith('/') ? state : join(home, '.local/state'), 'kt/kt.log')
}
