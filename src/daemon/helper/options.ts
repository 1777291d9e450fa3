// The helper's command line. Fixed and checked: it is what a sudoers rule would name.
import { isAbsolute } from 'node:path'
import { parseArgs } from 'node:util'

export type HelperOptions =
  | { command: 'undo' }
  | { command: 'up'; uid: number; gid: number; user: string; foreground: boolean; log: string | undefined }

export const USAGE = 'usage: helper up --uid UID --gid GID --user NAME [--log FILE] [--foreground] | helper undo'

/** Undefined for anything but the usage. */
export function parseOptions(argv: string[]): HelperOptions | undefined {
  const [command, ...rest] = argv
  if (command === 'undo' && rest.length === 0) return { command }
  if (command !== 'up') return undefined
  try {
    const { values } = parseArgs({
      args: rest,
      options: {
        uid: { type: 'string' },
        gid: { type: 'string' },
        user: { type: 'string' },
        log: { type: 'string' },
        foreground: { type: 'boolean', default: false },
      },
    })
    const { uid, gid, user, log, foreground } = values
    if (!isId(uid) || !isId(gid) || !user || !/^[^\0:/-][^\0:/]*$/.test(user)) return undefined
    if (log !== undefined && !isAbsolute(log)) return undefined
    return { command, uid: Number(uid), gid: Number(gid), user, foreground, log }
  } catch {
    return undefined
  }
}

/** (uid_t) -1 means "leave as it is" to the kernel. */
function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 0xffffffff
}
