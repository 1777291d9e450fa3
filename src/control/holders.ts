// The sockets of a user's holders: where they lie, and who of them is alive. A folder counts only if it is that user's
// alone, since in /tmp anybody may have made it.
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { networkName, runFolders, systemFacts, userNumber } from '../base/system.ts'
import { type ControlClient, connectControl } from './client.ts'
import type { Held, ProxyStatus, ShellReport } from './protocol.ts'

// A holder that is busy answers later than one that hangs.
const ANSWER_MS = 2_000

/** Path for the socket of this process, in a folder that is this user's alone. Throws with `code` and `hint`. */
export function newHolderSocket(env: NodeJS.ProcessEnv, kind: SocketKind = 'sock'): string {
  const facts = systemFacts(env)
  const uid = userNumber(facts)
  const folder = madeFolder(runFolders(facts, uid))
  if (!isPrivate(folder, uid))
    throw Object.assign(new Error(`${folder} is not a folder of yours alone`), {
      code: 'holder-folder',
      hint: `remove it, or make it yours with mode 0700; or set XDG_RUNTIME_DIR`,
    })
  return join(folder, `${networkName(facts)}-${process.pid}.${kind}`)
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

/** `sock`: of an exchange, mesh or run; `proxy`, `shell`: of a `kt proxy`, a `kt shell`. Each kind is asked for what it has. */
type SocketKind = 'sock' | 'proxy' | 'shell'

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
  const { answers, stale, silent } = await askSockets(uid, env, 'sock', (client) => client.request('held', {}))
  const holders = answers.map(({ answer, client }) => ({ held: answer, client }))
  return { holders: holders.sort((a, b) => a.held.target.localeCompare(b.held.target)), stale, silent }
}

/** The proxies of a user on this machine's network, by port. */
export async function proxiesHere(uid: number, env: NodeJS.ProcessEnv): Promise<ProxyStatus[]> {
  const { answers, stale } = await askSockets(uid, env, 'proxy', (client) => client.request('proxy', {}))
  for (const { client } of answers) client.close()
  // Nothing is known by the name of a proxy that was killed.
  for (const path of stale) removeStale(path)
  return answers.map(({ answer }) => answer).sort((a, b) => a.port - b.port)
}

/** The shells of a user on this machine, by name; asked inside of a shell, its own is among them. */
export async function shellsHere(uid: number, env: NodeJS.ProcessEnv): Promise<ShellReport[]> {
  const { answers, stale } = await askSockets(uid, env, 'shell', (client) => client.request('shell', {}))
  for (const { client } of answers) client.close()
  for (const path of stale) removeStale(path)
  return answers.map(({ answer }) => answer).sort((a, b) => a.name.localeCompare(b.name))
}

async function askSockets<T>(
  uid: number,
  env: NodeJS.ProcessEnv,
  kind: SocketKind,
  ask: (client: ControlClient) => Promise<T>,
): Promise<{ answers: { answer: T; client: ControlClient }[]; stale: string[]; silent: number[] }> {
  const facts = systemFacts(env)
  const paths = runFolders(facts, uid)
    .filter((folder) => isPrivate(folder, uid))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith(`.${kind}`))
  const stale: string[] = []
  const silent: number[] = []
  // A container may share /tmp with this machine: what is held there is not held here.
  const here = `/${networkName(facts)}-`
  const asked = await Promise.all(
    paths.map(async (path): Promise<{ answer: T; client: ControlClient }[]> => {
      const { client, stale: dead } = await connectControl(path).catch(() => ({ client: undefined, stale: false }))
      if (dead) stale.push(path)
      if (!client) return []
      // But inside of a shell the network is another one, too.
      if (kind !== 'shell' && !path.includes(here)) {
        client.close()
        return []
      }
      const answer = await within(ANSWER_MS, ask(client)).catch(() => undefined)
      if (answer) return [{ answer, client }]
      client.close()
      silent.push(Number(/-(\d+)\.\w+$/.exec(path)?.[1]))
      return []
    }),
  )
  return { answers: asked.flat(), stale, silent }
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
