// Where the control socket and the log of a user are: the command line, the helper and the engine must agree.
import { join } from 'node:path'
import { stateFolder } from '../base/system.ts'

export const RUN_FOLDER = '/run/kt'

/** Where systemd takes calls for the helper, from members of a group, when kt came as a package: helper-call.ts. */
export const HELPER_SOCKET = `${RUN_FOLDER}/helper.sock`

/** The folder the helper makes for one user, mode 0700. */
export function controlFolder(uid: number, run = RUN_FOLDER): string {
  return `${run}/${uid}`
}

export function controlSocket(uid: number): string {
  return join(controlFolder(uid), 'control.sock')
}

/** kt's part of the user's state. */
function stateOf(home: string, env: NodeJS.ProcessEnv): string {
  return join(stateFolder({ platform: process.platform, env }, home), 'kt')
}

/** The engine's log. sudo drops XDG_STATE_HOME, so who looks for the log looks in both places. */
export function logFile(home: string, env: NodeJS.ProcessEnv): string {
  return join(stateOf(home, env), 'kt.log')
}

/** What is remembered of the ways to API servers. */
export function frontDoorsFile(home: string, env: NodeJS.ProcessEnv): string {
  return join(stateOf(home, env), 'front-doors.json')
}
