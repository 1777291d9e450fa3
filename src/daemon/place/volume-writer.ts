// Writes a volume's files as the kubelet does: into a folder of their own, to which the link `..data` is switched in one step, so that a
// program sees all of the old or all of the new.
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { PlacedFile } from '../../cluster/place-calls.ts'

const DATA = '..data'
/** Names of folders that hold one state of the files. */
const STATE = /^\.\.\d{4}_/

/** True when something has changed. `folder` is made if it is not there. `now` is the time for the name of the new state. */
export function writeVolume(folder: string, files: PlacedFile[], now: Date): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const data = join(folder, DATA)
  const old = readLink(data)
  const wanted = files.flatMap((file) => {
    if (!file.stays) return { ...file, bytes: Buffer.from(file.data, 'base64') }
    const bytes = readIfThere(join(data, file.path))
    return bytes ? { ...file, bytes } : []
  })
  const same =
    old !== undefined &&
    listed(join(folder, old)).join('\0') ===
      wanted
        .map(({ path }) => path)
        .sort()
        .join('\0') &&
    wanted.every(({ path, bytes, mode }) => holds(join(folder, old, path), bytes, mode))
  if (same) return false

  const stamp = now.toISOString().replace(/[-T:]/g, '_').replace('Z', '')
  const state = `..${stamp}.${randomBytes(4).toString('hex')}`
  mkdirSync(join(folder, state), { mode: 0o755 })
  for (const { path, bytes, mode } of wanted) {
    const file = join(folder, state, path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' })
    chmodSync(file, mode)
  }
  const next = join(folder, `${DATA}_tmp`)
  rmSync(next, { force: true })
  symlinkSync(state, next)
  renameSync(next, data)
  linkNames(folder, new Set(wanted.map(({ path }) => path.split('/')[0])))
  for (const name of readdirSync(folder))
    if (STATE.test(name) && name !== state) rmSync(join(folder, name), { recursive: true, force: true })
  return true
}

/** A part of a volume: one file (path ''), or a folder that holds nothing else. */
export function writePart(place: string, files: PlacedFile[]): void {
  rmSync(place, { recursive: true, force: true })
  if (!files.some(({ path }) => path === '')) mkdirSync(place, { recursive: true, mode: 0o755 })
  for (const { path, data, mode } of files) {
    const file = path === '' ? place : join(place, path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, Buffer.from(data, 'base64'), { mode: 0o600, flag: 'wx' })
    chmodSync(file, mode)
  }
}

/** What a program opens: `name -> ..data/name`. A name at which something else is mounted stays that. */
function linkNames(folder: string, names: ReadonlySet<string>): void {
  for (const name of readdirSync(folder)) {
    const target = readLink(join(folder, name))
    if (target?.startsWith(`${DATA}/`) && !names.has(name)) rmSync(join(folder, name))
  }
  for (const name of names) {
    try {
      symlinkSync(`${DATA}/${name}`, join(folder, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Paths of the files in a folder, sorted. */
function listed(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

function holds(file: string, bytes: Buffer, mode: number): boolean {
  try {
    return (lstatSync(file).mode & 0o777) === mode && readFileSync(file).equals(bytes)
  } catch {
    return false // one that its owner may not read is written again
  }
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
