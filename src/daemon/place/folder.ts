// A folder of this process and this user alone for what may hold secrets: in memory where the system has such a place. One that a killed
// process has left is removed by the next.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ToldError } from '../../base/told-error.ts'

const PREFIX = 'files-'
// statfs(2)
const IN_MEMORY = new Set([0x01021994, 0x858458f6])

export interface PrivateFolder {
  path: string
  /** It does not outlive the machine's next start, and no disk ever has it. */
  inMemory: boolean
}

/** Rejects with ToldError where there is no place for it. */
export function makePrivateFolder(env: NodeJS.ProcessEnv): PrivateFolder {
  removeLeftFolders(env)
  let why = 'there is none'
  for (const folder of places(env)) {
    try {
      mkdirSync(folder, { mode: 0o700, recursive: false })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        why = (error as Error).message
        continue
      }
    }
    if (!isPrivate(folder)) {
      why = `${folder} is not a folder of yours alone`
      continue
    }
    try {
      const path = mkdtempSync(join(folder, `${PREFIX}${process.pid}-`))
      return { path, inMemory: IN_MEMORY.has(statfsSync(path).type) }
    } catch (error) {
      why = (error as Error).message
    }
  }
  throw new ToldError(
    'files',
    `no private folder for the files can be made: ${why}`,
    'set XDG_RUNTIME_DIR to a folder of yours',
  )
}

/** Those whose process has ended. Returns their paths. */
export function removeLeftFolders(env: NodeJS.ProcessEnv): string[] {
  return places(env)
    .filter(isPrivate)
    .flatMap((folder) => readdirSync(folder).map((name) => ({ name, path: join(folder, name) })))
    .filter(({ name }) => {
      const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
      return pid !== undefined && !lives(Number(pid))
    })
    .map(({ path }) => {
      rmSync(path, { recursive: true, force: true })
      return path
    })
}

function places(env: NodeJS.ProcessEnv): string[] {
  const uid = process.getuid!()
  const runtime = env['XDG_RUNTIME_DIR']
  return [
    ...(runtime?.startsWith('/') ? [join(runtime, 'kt')] : []),
    `/run/user/${uid}/kt`,
    `/dev/shm/kt-${uid}`,
    join(tmpdir(), `kt-${uid}`),
  ]
}

/** In /tmp and /dev/shm anybody may have made it. */
function isPrivate(folder: string): boolean {
  try {
    const { uid, mode } = lstatSync(folder)
    return uid === process.getuid!() && (mode & 0o170077) === 0o040000
  } catch {
    return false
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
