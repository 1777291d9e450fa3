// Where the control socket and the log of a user are: the command line, the helper and the engine must agree.
import { join } from 'node:path'

/** The folder the helper makes for one user, mode 0700. */
export function controlFolder(uid: number): string {
  return `/run/kt/${uid}`
}

export function controlSocket(uid: number): string {
  return join(controlFolder(uid), 'control.sock')
}

/** The engine's log, under the XDG state folder of the user. */
export function logFile(home: string, env: NodeJS.ProcessEnv = {}): string {
  return join(env['XDG_STATE_HOME'] || join(home, '.local/state'), 'kt', 'kt.log')
}
