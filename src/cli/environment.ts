// The environment and the terminal of the person who calls, for the processes that read their kubeconfig: credential
// plugins shall find what they find in the person's shell.
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { isatty } from 'node:tty'
import { type Caller, whoCalls } from './caller.ts'

/** How a Node process is tied to the one that started it: not for others. */
const nodesOwn = new Set(['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID'])
/** What sudo sets for root. */
const roots = new Set(['HOME', 'USER', 'LOGNAME', 'SHELL', 'MAIL', 'PATH', 'USERNAME'])

/** All that the caller's shell gave; after sudo what sudo has left of it, with what a login of that person has. */
export function callersEnvironment(
  env: NodeJS.ProcessEnv = process.env,
  caller: Caller = whoCalls(env),
): Record<string, string> {
  const result: Record<string, string> = {}
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && !nodesOwn.has(name) && !(caller.sudo && roots.has(name))) result[name] = value
  if (caller.sudo) {
    const machine = readEnvironment('/etc/environment')
    for (const [name, value] of Object.entries(machine)) if (name !== 'PATH') result[name] ??= value
    Object.assign(result, loginOf(caller, `${machine['PATH'] ?? ''}:${env['PATH'] ?? ''}`))
  }
  result['PWD'] = process.cwd()
  if (result['KUBECONFIG']) result['KUBECONFIG'] = absolute(result['KUBECONFIG'])
  return result
}

/** Path of the terminal that this command reads from; undefined where it reads from something else. */
export function callersTerminal(): string | undefined {
  if (!isatty(0)) return undefined
  try {
    const path = readlinkSync('/proc/self/fd/0')
    return path.startsWith('/dev/') ? path : undefined
  } catch {
    return undefined // no /proc
  }
}

function loginOf({ uid, name, home }: Caller, path: string): Record<string, string> {
  const system = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/games', '/usr/games', '/snap/bin']
  const folders = [`${home}/.local/bin`, `${home}/bin`, ...system, ...path.split(':').filter((folder) => folder !== '')]
  const runtime = `/run/user/${uid}`
  return {
    ...{ HOME: home, USER: name, LOGNAME: name, PATH: [...new Set(folders)].join(':') },
    ...(existsSync(runtime) && { XDG_RUNTIME_DIR: runtime }),
  }
}

/** `NAME=value` lines, as pam_env(8) reads them. */
function readEnvironment(file: string): Record<string, string> {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // Not every system has one.
  }
  const pairs = [...text.matchAll(/^[ \t]*(?:export[ \t]+)?(\w+)=(["']?)(.*?)\2[ \t]*$/gm)]
  return Object.fromEntries(pairs.map(([, name, , value]) => [name, value]))
}

function absolute(files: string): string {
  return files
    .split(':')
    .filter((file) => file !== '')
    .map((file) => resolve(file))
    .join(':')
}
