// The configuration file of a user: defaults for flags, and profiles that beat them. JSON, written whole and in one step.
import { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolders } from '../../base/make-folders.ts'
import { CliError } from '../output.ts'

export type Value = string | boolean | string[]
export type Settings = Record<string, Value>

export interface Configuration {
  defaults: Settings
  profiles: Record<string, Settings>
}

/** `kt/config.json` below XDG_CONFIG_HOME (an absolute path, else it does not count) or `~/.config`. */
export function configFile(home: string, env: NodeJS.ProcessEnv): string {
  const folder = env['XDG_CONFIG_HOME']
  return join(folder?.startsWith('/') ? folder : join(home, '.config'), 'kt/config.json')
}

/** Empty where there is no file. Throws CliError for one that cannot be read or is not of this shape. */
export function readConfiguration(file: string): Configuration {
  const broken = (what: string) => new CliError(`${file} ${what}`, 'mend it, or remove it to start anew')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return { defaults: {}, profiles: {} }
    throw broken(`cannot be read (${code})`)
  }
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    throw broken('is no JSON')
  }
  if (!isObject(content)) throw broken('holds no JSON object')
  const { defaults = {}, profiles = {} } = content
  if (!isSettings(defaults)) throw broken('has defaults that are not texts, true, false or lists of texts')
  if (!isObject(profiles)) throw broken('has profiles that are no object')
  for (const [name, settings] of Object.entries(profiles))
    if (!isSettings(settings)) throw broken(`has a profile ${JSON.stringify(name)} that holds no settings`)
  return { defaults, profiles: profiles as Record<string, Settings> }
}

/** Replaces the file in one step, 0600; a symbolic link stays, what it leads to is replaced. Throws CliError. */
export function writeConfiguration(file: string, content: Configuration): void {
  try {
    makeFolders(dirname(file), 0o700)
    const target = followed(file)
    const temporary = `${target}.${process.pid}`
    rmSync(temporary, { force: true })
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeSync(fd, `${JSON.stringify(content, null, 2)}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, target)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new CliError(
      `${file} cannot be written: ${code ?? message}`,
      'check who owns its folder, and whether the disk is full',
    )
  }
}

function followed(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file // there is none yet
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSettings(value: unknown): value is Settings {
  const isText = (one: unknown) => typeof one === 'string'
  return (
    isObject(value) &&
    Object.values(value).every(
      (one) => isText(one) || typeof one === 'boolean' || (Array.isArray(one) && one.every(isText)),
    )
  )
}
