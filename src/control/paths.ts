// Where the control socket and the log of a user are: the command line, the helper and the engine must agree.
import { join } from 'node:path'

/** The folder the helper makes for one user, mode 0700. */
export function controlFolder(uid: number): string {
  return `/run/kt/${uid}`
}

export function controlSocket(uid: number): string {
  return join(controlFolder(uid), 'control.sock')
}

/**
 * The engine's log, where XDG_STATE_HOME is by default: under sudo and in a login of its own the engine does not see the
 * caller's variable, and `kt logs` must look in the same place.
 */
export function logFile(home: string): string {
  return join(home, '.local/state/kt/kt.log')
}
