// The helper's command line, fixed and checked. Whoever may start the helper as root is root: it starts an engine as any
// user and writes a log to any path. So a sudoers rule for it (NOPASSWD, say) is a rule for everything, and belongs only
// to somebody who may be root, and only where nobody else can change kt's files, Node, or Node's environment.
import { isAbsolute } from 'node:path'
import { parseArgs } from 'node:util'

export type HelperOptions =
  /** `end`: the user whose kt is ended first, by force if it must be. */
  | { command: 'undo'; end: number | undefined }
  /** Descriptors 0 and 1 are a call through the helper's socket: serve.ts. */
  | { command: 'serve' }
  | { command: 'up'; uid: number; gid: number; user: string; foreground: boolean; log: string | undefined }

export const USAGE =
  'usage: helper up --uid UID --gid GID --user NAME [--log FILE] [--foreground] | helper undo [--end UID] | helper serve'

/** Undefined for anything but the usage. */
export function parseOptions(argv: string[]): HelperOptions | undefined {
  const [command, ...rest] = argv
  try {
    if (command === 'undo') {
      const { end } = parseArgs({ args: rest, options: { end: { type: 'string' } } }).values
      if (end !== undefined && !isId(end)) return undefined
      return { command, end: end === undefined ? undefined : Number(end) }
    }
    if (command === 'serve') return rest.length === 0 ? { command } : undefined
    if (command !== 'up') return undefined
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
