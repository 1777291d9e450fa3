// The sockets of a user's holders: where they lie, and who of them is alive. A folder counts only if it is that user's
// alone, since in /tmp anybody may have made it.
import { lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type ControlClient, connectControl } from './client.ts'
import type { Held } from './protocol.ts'

// A holder that is busy answers later than one that hangs.
const ANSWER_MS = 2_000

/** Folders that may hold sockets, the one for new ones first. */
function holderFolders(uid: number, env: NodeJS.ProcessEnv): string[] {
  const runtime = env['XDG_RUNTIME_DIR']
  const folders = [
    ...(runtime?.startsWith('/') && ownedBy(runtime, uid) ? [join(runtime, 'kt')] : []),
    // Under sudo, or from another login of the same user, the variable is not there.
    ...(ownedBy(`/run/user/${uid}`, uid) ? [`/run/user/${uid}/kt`] : []),
    `/tmp/kt-${uid}`,
  ]
  return [...new Set(folders)]
}

/** Path for the socket of this process, in a folder that is this user's alone. Throws with `code` and `hint`. */
export function newHolderSocket(env: NodeJS.ProcessEnv): string {
  const uid = process.getuid!()
  const folder = madeFolder(holderFolders(uid, env))
  if (!isPrivate(folder, uid))
    throw Object.assign(new Error(`${folder} is not a folder of yours alone`), {
      code: 'holder-folder',
      hint: `remove it, or make it yours with mode 0700; or set XDG_RUNTIME_DIR`,
    })
  return join(folder, `${networkNamespace()}-${process.pid}.sock`)
}

/** The first that is there or can be made: a run-time folder may be full or read-only, and /tmp will do. */
function madeFolder(folders: string[]): string {
  let last: unknown
  for (const folder of folders) {
    try {
      mkdirSync(folder, { mode: 0o700 })
      return folder
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return folder
      last = error
    }
  }
  throw Object.assign(new Error(`no folder for the holder's socket can be made: ${(last as Error).message}`), {
    code: 'holder-folder',
    hint: 'make /tmp writable and see that its disk is not full, or set XDG_RUNTIME_DIR to a folder of yours',
  })
}

export interface LiveHolder {
  held: Held
  client: ControlClient
}

/**
 * Asks every live holder of a user on this machine's network. The caller closes the clients. `stale` are sockets whose
 * holder was killed, `silent` the processes that are there and do not answer.
 */
export async function askHolders(
  uid: number,
  env: NodeJS.ProcessEnv,
): Promise<{ holders: LiveHolder[]; stale: string[]; silent: number[] }> {
  const paths = holderFolders(uid, env)
    .filter((folder) => isPrivate(folder, uid))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith('.sock'))
  const stale: string[] = []
  const silent: number[] = []
  // A container may share /tmp with this machine: what is held there is not held here.
  const here = `/${networkNamespace()}-`
  const asked = await Promise.all(
    paths.map(async (path): Promise<LiveHolder[]> => {
      const { client, stale: dead } = await connectControl(path).catch(() => ({ client: undefined, stale: false }))
      if (dead) stale.push(path)
      if (!client) return []
      if (!path.includes(here)) {
        client.close()
        return []
      }
      const held = await within(ANSWER_MS, client.request('held', {})).catch(() => undefined)
      if (held) return [{ held, client }]
      client.close()
      silent.push(Number(/-(\d+)\.sock$/.exec(path)?.[1]))
      return []
    }),
  )
  return { holders: asked.flat().sort((a, b) => a.held.target.localeCompare(b.held.target)), stale, silent }
}

/** What all of them hold. */
export async function heldHere(uid: number, env: NodeJS.ProcessEnv): Promise<Held[]> {
  const { holders } = await askHolders(uid, env)
  for (const { client } of holders) client.close()
  return holders.map(({ held }) => held)
}

export function removeStale(path: string): void {
  rmSync(path, { force: true })
}

function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** `4026531840`; network_namespaces(7), namespaces(7). */
function networkNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))![0]
}

function ownedBy(path: string, uid: number): boolean {
  try {
    const stat = lstatSync(path)
    return stat.isDirectory() && stat.uid === uid
  } catch {
    return false
  }
}

function isPrivate(path: string, uid: number): boolean {
  return ownedBy(path, uid) && (lstatSync(path).mode & 0o077) === 0
}
