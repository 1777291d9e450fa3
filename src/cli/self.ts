// How a person calls this kt: hints are commands that work exactly as they are printed. The name alone does where PATH
// leads here; with sudo, where sudo's own path does.
import { realpathSync } from 'node:fs'
import { basename, delimiter, isAbsolute, join } from 'node:path'
import { ownProgram } from '../base/installation.ts'

/** sudoers(5), secure_path: what Debian, Fedora and Alpine put there, as far as all of them do. */
const SUDO_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

export interface Self {
  /** Path of `bin/kt`, or of the single file. */
  program: string
  /** PATH of the caller. */
  path: string
  /** What the caller started, as the system has it: kubectl gives a plugin the plugin's path. */
  argv0?: string
}

export const self: Self = { program: ownProgram, path: process.env['PATH'] ?? '', argv0: process.argv0 }

/** How this kt is called, without sudo: `kt`, its path, or `kubectl NAME` for a plugin. */
export function ownName({ program, path, argv0 }: Self = self): string {
  // https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/: an underscore of the file is a dash of the command.
  const [file, plugin] = /^kubectl-([\w-]+)$/.exec(basename(argv0 ?? '')) ?? []
  if (file && plugin && isIn(path, file, program) && firstIn(path, 'kubectl'))
    return `kubectl ${plugin.replaceAll('_', '-')}`
  return isIn(path, 'kt', program) ? 'kt' : quoted(program)
}

/** `text` with each `kt …` and `sudo kt …` between backticks as it has to be typed here. */
export function asTyped(text: string, of: Self = self): string {
  return text.replace(/`(sudo )?kt(?=[ `])/g, (_, sudo: string | undefined) => {
    if (!sudo) return `\`${ownName(of)}`
    return `\`sudo ${isIn(SUDO_PATH, 'kt', of.program) ? 'kt' : quoted(of.program)}`
  })
}

function isIn(path: string, name: string, program: string): boolean {
  const found = firstIn(path, name)
  return found !== undefined && found === realOrUndefined(program)
}

/** The real path of the first one, which is the one that is started. */
function firstIn(path: string, name: string): string | undefined {
  return path
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => realOrUndefined(join(folder, name)))
    .find((one) => one !== undefined)
}

function realOrUndefined(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

const quoted = (path: string): string => (/^[\w./+:@%-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)
