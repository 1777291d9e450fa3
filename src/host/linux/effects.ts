// The effects for real: this machine's files, programs and system bus.
import { spawn } from 'node:child_process'
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { quietPipes } from '../../base/children.ts'
import { readSmallFile } from '../../base/small-file.ts'
import { type CommandResult, type Effects, type Files, type Paths, systemPaths } from '../effects.ts'
import type { Before } from './actions.ts'
import { followProgram } from './follow.ts'
import { systemResolved } from './resolved/resolve1.ts'

export function systemEffects(paths: Paths = systemPaths): Effects {
  return { paths, files: systemFiles, resolved: systemResolved(), run, follow: followProgram(environment) }
}

// Fixed: what root runs must not depend on the caller's PATH.
const ROOT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const environment = { PATH: ROOT_PATH, LC_ALL: 'C' }
const COMMAND_TIMEOUT_MS = 10_000
// Files here are small: of /proc, the journal, resolv.conf. What the journal keeps of one must fit what is read of the journal.
const MOST_READ = 4 << 20
const MOST_KEPT = 1 << 20

function run(argv: readonly string[], input = ''): Promise<CommandResult> {
  return new Promise((done, failed) => {
    const child = spawn(argv[0], argv.slice(1), {
      env: environment,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: COMMAND_TIMEOUT_MS,
      killSignal: 'SIGKILL', // one that hangs may also be stopped
      cwd: '/',
    })
    quietPipes(child)
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', failed)
    child.on('close', (code, signal) =>
      done({
        code: code ?? 1,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString() || (signal ? `ended by ${signal}` : ''),
      }),
    )
    child.stdin.end(input)
  })
}

// A link that leads to itself names no file either: glibc takes such a resolv.conf for one that is not there.
// ESRCH: /proc says it when the process has ended between opening and reading.
const ABSENT = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ESRCH']
const absent = (error: unknown) => ABSENT.includes((error as NodeJS.ErrnoException).code ?? '')

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (absent(error)) return undefined
    throw error
  }
}

export const systemFiles: Files = {
  read: (path) => orUndefined(() => readSmallFile(path, MOST_READ)?.toString()),

  linkTarget(path) {
    const target = orUndefined(() => (lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined))
    // A link to a file that is not there still says who is meant.
    return target === undefined ? undefined : (orUndefined(() => realpathSync(path)) ?? resolve(dirname(path), target))
  },

  snapshot(path): Before {
    const stat = orUndefined(() => lstatSync(path))
    if (!stat) return { kind: 'missing' }
    if (stat.isSymbolicLink()) return { kind: 'symlink', target: readlinkSync(path) }
    const { mode, uid, gid, mtimeMs, size } = stat
    if (size > MOST_KEPT) throw new Error(`${path} is ${size} bytes long; nothing was changed`)
    const content = readSmallFile(path, MOST_KEPT)
    if (!content) throw new Error(`${path} is no file; nothing was changed`)
    return { kind: 'file', content: content.toString('base64'), mode: mode & 0o7777, uid, gid, mtimeMs }
  },

  isWritable(folder) {
    try {
      accessSync(folder, constants.W_OK)
      return true
    } catch {
      return false
    }
  },

  isOwnFolder(folder) {
    const stat = orUndefined(() => lstatSync(folder))
    return stat?.isDirectory() === true && [0, process.getuid?.()].includes(stat.uid) && (stat.mode & 0o022) === 0
  },

  restore(path, state) {
    if (state.kind === 'missing') {
      rmSync(path, { force: true })
    } else if (state.kind === 'symlink') {
      const temporary = temporaryName(path)
      symlinkSync(state.target, temporary)
      renameSync(temporary, path)
    } else {
      const seconds = state.mtimeMs / 1000
      replace(path, Buffer.from(state.content, 'base64'), state, IN_PLACE_TO_RESTORE)
      utimesSync(path, seconds, seconds)
    }
    syncFolder(dirname(path))
  },

  create(path, text) {
    const temporary = temporaryName(path)
    writeNew(temporary, Buffer.from(text), { mode: 0o600, uid: 0, gid: 0 }, false)
    try {
      linkSync(temporary, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    } finally {
      unlinkSync(temporary)
    }
    syncFolder(dirname(path))
    return true
  },

  write(path, text) {
    const stat = orUndefined(() => lstatSync(path))
    const like = stat?.isFile() ? { ...stat, mode: stat.mode & 0o7777 } : { mode: 0o644, uid: 0, gid: 0 }
    replace(path, Buffer.from(text), like)
    syncFolder(dirname(path))
  },

  poke: (path, text) => writeFileSync(path, text),
  remove: (path) => {
    rmSync(path, { force: true })
    orUndefined(() => syncFolder(dirname(path)))
  },
  list: (folder) => orUndefined(() => readdirSync(folder)) ?? [],

  folder(path, mode, uid, gid) {
    try {
      mkdirSync(path, { mode })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    // Opened without following: a link laid here by somebody else, at whatever moment, must not lead our chown elsewhere.
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      fchownSync(fd, uid, gid)
      fchmodSync(fd, mode)
    } finally {
      closeSync(fd)
    }
  },

  removeFolder(path) {
    try {
      rmdirSync(path)
    } catch (error) {
      if (!absent(error) && (error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
  },
}

interface Ownership {
  mode: number
  uid: number
  gid: number
}

function temporaryName(path: string): string {
  const name = join(dirname(path), `.kt-${process.pid}-${path.split('/').at(-1)}`)
  rmSync(name, { force: true })
  return name
}

function writeNew(path: string, content: Buffer, { mode, uid, gid }: Ownership, own = true): void {
  const fd = openSync(path, 'wx', 0o600)
  try {
    writeAll(fd, content)
    if (own) fchownSync(fd, uid, gid)
    fchmodSync(fd, mode)
    fsyncSync(fd)
  } catch (error) {
    rmSync(path, { force: true }) // on a full disk, above all
    throw error
  } finally {
    closeSync(fd)
  }
}

/** A nearly full disk takes a part, and refuses only the next. */
function writeAll(fd: number, content: Buffer): void {
  for (let done = 0; done < content.length; ) done += writeSync(fd, content, done, content.length - done, done)
}

/** A file that is written in place is for a moment neither the old nor the new one: `inPlace` says after which errors. */
function replace(path: string, content: Buffer, ownership: Ownership, inPlace: ReadonlySet<string> = IN_PLACE): void {
  try {
    const temporary = temporaryName(path)
    writeNew(temporary, content, ownership, process.getuid?.() === 0)
    try {
      renameSync(temporary, path)
    } catch (error) {
      unlinkSync(temporary)
      throw error
    }
  } catch (error) {
    if (!inPlace.has((error as NodeJS.ErrnoException).code ?? '') || !overwrite(path, content)) throw error
  }
}

// A mount point (containers have their resolv.conf so) cannot be renamed over, and the folder around it may be read-only.
const IN_PLACE = new Set(['EBUSY', 'EROFS'])
// The old content gets the blocks of the present one, so it fits on a full disk, too.
const IN_PLACE_TO_RESTORE = new Set([...IN_PLACE, 'ENOSPC', 'EDQUOT'])

/** False if that cannot be done. */
function overwrite(path: string, content: Buffer): boolean {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return false
  }
  try {
    writeAll(fd, content)
    // Shortened after it is written: a reader never sees an empty file.
    ftruncateSync(fd, content.length)
    fsyncSync(fd)
    return true
  } finally {
    closeSync(fd)
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
