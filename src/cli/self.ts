// How a person calls this kt: hints are commands that work exactly as they are printed. The name alone does where PATH
// leads here; with sudo, where sudo's own path does.
import { realpathSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import { ownProgram } from '../base/installation.ts'

/** sudoers(5), secure_path: what Debian, Fedora and Alpine put there, as far as all of them do. */
const SUDO_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

export interface Self {
  /** Path of `bin/kt`, or of the single file. */
  program: string
  /** PATH of the caller. */
  path: string
}

export const self: Self = { program: ownProgram, path: process.env['PATH'] ?? '' }

/** `text` with each `kt …` and `sudo kt …` between backticks as it has to be typed here. */
export function asTyped(text: string, { program, path }: Self = self): string {
  return text.replace(/`(sudo )?kt(?=[ `])/g, (_, sudo: string | undefined) => {
    const found = isIn(sudo ? SUDO_PATH : path, program)
    return `\`${sudo ?? ''}${found ? 'kt' : quoted(program)}`
  })
}

function isIn(path: string, program: string): boolean {
  const real = realOrUndefined(program)
  // The first one is the one that is started.
  const found = path
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => realOrUndefined(join(folder, 'kt')))
    .find((one) => one !== undefined)
  return found !== undefined && found === real
}

function realOrUndefined(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

const quoted = (path: string): string => (/^[\w./+:@%-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)
