// What differs by operating system for the parts of kt that run everywhere: `kt proxy`, the library, and what they stand on.
// Everything is a function of facts that are handed in, so that a test plays a system it does not run on. kt was never run on
// macOS or Windows; what is said of them here is from their documentation.
import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import { posix, win32 } from 'node:path'

export interface SystemFacts {
  platform: NodeJS.Platform
  /** Undefined on Windows, which has no numbers for users. */
  uid: number | undefined
  gid: number | undefined
  env: NodeJS.ProcessEnv
  home: string
  /** The folder for temporary files. */
  temp: string
  /** The user's name. */
  user: string
  /** The text of a file; throws where there is none. */
  read(path: string): string
  /** Where a symbolic link leads; throws where there is none. */
  link(path: string): string
  /** The owner of a folder; undefined where there is no such folder. */
  folderOwner(path: string): number | undefined
}

/** Those of this process. */
export function systemFacts(env: NodeJS.ProcessEnv = process.env): SystemFacts {
  return {
    platform: process.platform,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
    env,
    home: orEmpty(homedir),
    temp: tmpdir(),
    user: orEmpty(() => userInfo().username),
    read: (path) => readFileSync(path, 'utf8'),
    link: (path) => readlinkSync(path),
    folderOwner: (path) => {
      try {
        const stat = lstatSync(path)
        return stat.isDirectory() ? stat.uid : undefined
      } catch {
        return undefined
      }
    },
  }
}

/** A number for the user of this process; 0 on Windows. */
export function userNumber({ uid }: Pick<SystemFacts, 'uid'>): number {
  return uid ?? 0
}

/**
 * Folders that may hold the sockets of a user's processes, the one for new ones first. None on Windows: its named pipes lie in
 * no folder of a user, so nothing is listed there.
 */
export function runFolders(facts: SystemFacts, uid: number): string[] {
  const { platform, env, temp, folderOwner } = facts
  if (platform === 'win32') return []
  const runtime = env['XDG_RUNTIME_DIR']
  const mine = (path: string) => folderOwner(path) === uid
  const folders = [
    ...(runtime?.startsWith('/') && mine(runtime) ? [posix.join(runtime, 'kt')] : []),
    // Under sudo, or from another login of the same user, the variable is not there.
    ...(mine(`/run/user/${uid}`) ? [`/run/user/${uid}/kt`] : []),
    // The folder of macOS is the user's alone, and a path in it is short enough for a socket (104 bytes).
    ...(platform === 'darwin' && mine(temp) ? [posix.join(temp, 'kt')] : []),
    `/tmp/kt-${uid}`,
  ]
  return [...new Set(folders)]
}

/** Tells the networks of one machine apart: `4026531840` (namespaces(7)); `0` where a machine has one network. */
export function networkName({ platform, link }: SystemFacts): string {
  if (platform !== 'linux') return '0'
  return /\d+/.exec(link('/proc/self/ns/net'))?.[0] ?? '0'
}

/** The folder for a user's state: XDG_STATE_HOME where it counts, else what the system has for it. */
export function stateFolder({ platform, env }: Pick<SystemFacts, 'platform' | 'env'>, home: string): string {
  if (platform === 'win32') return env['LOCALAPPDATA'] ?? win32.join(home, 'AppData', 'Local')
  const state = env['XDG_STATE_HOME']
  return state?.startsWith('/') ? state : posix.join(home, '.local/state')
}

/** The text of resolv.conf(5), for the search list; '' where the system has none. */
export function resolvConfText({ platform, read }: Pick<SystemFacts, 'platform' | 'read'>): string {
  if (platform === 'win32') return ''
  return orEmpty(() => read('/etc/resolv.conf'))
}

/** The line of passwd(5) for a user; undefined where there is none, as for the people of macOS. */
export function accountOf(
  { platform, read }: Pick<SystemFacts, 'platform' | 'read'>,
  uid: number,
): { name: string; gid: number; home: string } | undefined {
  if (platform === 'win32') return undefined
  const fields = orEmpty(() => read('/etc/passwd'))
    .split('\n')
    .map((line) => line.split(':'))
    .find((parts) => Number(parts[2]) === uid && parts.length >= 7)
  return fields && { name: fields[0], gid: Number(fields[3]), home: fields[5] }
}

/** Files in which the kernel names the owner of each connection; none where no file says so. */
export function connectionTables({ platform }: Pick<SystemFacts, 'platform'>): string[] {
  return platform === 'linux' ? ['/proc/net/tcp', '/proc/net/tcp6'] : []
}

/** How a shell of this system sets a variable, for a person to paste. */
export function exportLine({ platform }: Pick<SystemFacts, 'platform'>, name: string, value: string): string {
  return platform === 'win32' ? `$env:${name} = '${value}'` : `export ${name}=${value}`
}

function orEmpty(get: () => string): string {
  try {
    return get()
  } catch {
    return ''
  }
}
