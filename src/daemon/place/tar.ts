// Reads a tar archive as it comes and writes what is in it below one folder. The archive is from somebody else's container: no name leaves
// the folder, links lead only further down, devices and the like are left out, and sizes and numbers have limits. POSIX.1-2024, pax.
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

const BLOCK = 512
/** Names, pax records and the like. */
const MOST_META = 64 * 1024
const MOST_NAME = 4096
const MOST_DEPTH = 64
const MOST_ENTRIES = 100_000

/** A file where another entry needs a folder, or the other way around. */
const NAME_TAKEN = new Set(['EEXIST', 'ENOTDIR', 'EISDIR', 'ERR_FS_EISDIR', 'ENAMETOOLONG'])

export class TarError extends Error {}

export interface TarLimits {
  /** Bytes of all files together. */
  bytes: number
}

interface Entry {
  name: string
  link: string
  type: string
  size: number
  mode: number
}

type State = 'header' | 'content' | 'end'

export class TarExtractor {
  readonly #folder: string
  readonly #left: { bytes: number; entries: number }
  readonly #skip: (path: string) => boolean
  #state: State = 'header'
  #pending: Buffer = Buffer.alloc(0)
  #entry: Entry | undefined
  #remaining = 0
  #padding = 0
  #meta: Buffer[] = []
  #fd: number | undefined
  /** From records before an entry. */
  #next: { name?: string; link?: string; size?: number } = {}
  /** Made last, so that nothing is ever written through one. */
  readonly #links: [path: string, target: string][] = []
  /** What was not taken. */
  leftOut = 0

  /** `skip` says which relative paths are not wanted. */
  constructor(folder: string, { bytes }: TarLimits, skip: (path: string) => boolean = () => false) {
    this.#folder = folder
    this.#left = { bytes, entries: MOST_ENTRIES }
    this.#skip = skip
  }

  /** Throws TarError for what is no archive, or too large; then `abandon` must follow. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#state !== 'end') {
      if (this.#state === 'content') {
        const take = Math.min(chunk.length - at, this.#remaining)
        this.#content(chunk.subarray(at, at + take))
        this.#remaining -= take
        at += take
        if (this.#remaining === 0) {
          const skip = Math.min(chunk.length - at, this.#padding)
          this.#padding -= skip
          at += skip
          if (this.#padding === 0) this.#endEntry()
        }
        continue
      }
      const missing = BLOCK - this.#pending.length
      this.#pending = Buffer.concat([this.#pending, chunk.subarray(at, at + missing)])
      at += Math.min(missing, chunk.length - at)
      if (this.#pending.length < BLOCK) continue
      const block = this.#pending
      this.#pending = Buffer.alloc(0)
      this.#header(block)
    }
  }

  /** All has come. Throws TarError when it has not. */
  finish(): void {
    if (this.#state === 'content' || this.#pending.length > 0) throw new TarError('the archive is cut off')
    for (const [path, target] of this.#links) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
      try {
        symlinkSync(target, path)
      } catch {
        this.leftOut++ // something else has that name
      }
    }
  }

  /** Gives up what is open. */
  abandon(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#state = 'end'
  }

  #header(block: Buffer): void {
    if (block.every((byte) => byte === 0)) {
      this.#state = 'end'
      return
    }
    let sum = 0
    for (const [i, byte] of block.entries()) sum += i >= 148 && i < 156 ? 32 : byte
    if (sum !== number(block, 148, 8)) throw new TarError('what came is no tar archive')
    if (--this.#left.entries < 0) throw new TarError(`there are more than ${MOST_ENTRIES} files`)
    const prefix = block.toString('latin1', 257, 262) === 'ustar' ? text(block, 345, 155) : ''
    const name = text(block, 0, 100)
    const entry: Entry = {
      name: this.#next.name ?? (prefix && block[263] !== 0x20 ? `${prefix}/${name}` : name),
      link: this.#next.link ?? text(block, 157, 100),
      type: String.fromCharCode(block[156] || 0x30),
      size: this.#next.size ?? number(block, 124, 12),
      mode: number(block, 100, 8) & 0o777,
    }
    const isMeta = 'xgLK'.includes(entry.type)
    if (!isMeta) this.#next = {}
    if (!(entry.size >= 0 && Number.isSafeInteger(entry.size))) throw new TarError('a size is no number')
    // Links and folders may name a size that does not follow.
    if ('12345'.includes(entry.type)) entry.size = 0
    if (isMeta && entry.size > MOST_META) throw new TarError('a name is too long')
    this.#entry = entry
    this.#meta = []
    this.#remaining = entry.size
    this.#padding = (BLOCK - (entry.size % BLOCK)) % BLOCK
    if (!isMeta) this.#begin(entry)
    this.#state = 'content'
    if (entry.size === 0) this.#endEntry()
  }

  #begin(entry: Entry): void {
    const path = inside(entry.name)
    if (path === undefined) {
      this.leftOut++
      return
    }
    if (path === '' || this.#skip(path)) return
    const full = join(this.#folder, path)
    try {
      this.#make(entry, full)
    } catch (error) {
      if (!NAME_TAKEN.has((error as NodeJS.ErrnoException).code ?? '')) throw error
      this.leftOut++
    }
  }

  #make({ type, link, size, mode }: Entry, full: string): void {
    if (type === '5') {
      mkdirSync(full, { recursive: true, mode: 0o755 })
      chmodSync(full, mode | 0o700)
    } else if (type === '0' || type === '7') {
      this.#take(size)
      mkdirSync(dirname(full), { recursive: true, mode: 0o755 })
      rmSync(full, { force: true })
      this.#fd = openSync(full, 'wx', 0o600)
      chmodSync(full, mode | 0o600)
    } else if (type === '1') {
      const source = inside(link)
      if (!source) throw Object.assign(new Error('a link that leaves its folder'), { code: 'EEXIST' })
      // Another name of a file that came before. It counts as if it came again.
      mkdirSync(dirname(full), { recursive: true, mode: 0o755 })
      this.#copy(join(this.#folder, source), full)
    } else if (type === '2' && leadsDown(link)) this.#links.push([full, link])
    else this.leftOut++
  }

  #take(bytes: number): void {
    this.#left.bytes -= bytes
    if (this.#left.bytes < 0) throw new TarError('it holds more than the limit')
  }

  #copy(source: string, full: string): void {
    const found = statSync(source, { throwIfNoEntry: false })
    if (!found?.isFile()) {
      this.leftOut++ // the file itself was left out
      return
    }
    this.#take(found.size)
    rmSync(full, { force: true })
    copyFileSync(source, full, constants.COPYFILE_EXCL)
  }

  #content(piece: Buffer): void {
    if (this.#entry && 'xgLK'.includes(this.#entry.type)) this.#meta.push(Buffer.from(piece))
    else if (this.#fd !== undefined) for (let at = 0; at < piece.length; ) at += writeSync(this.#fd, piece, at)
  }

  #endEntry(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#state = 'header'
    const meta = Buffer.concat(this.#meta)
    if (this.#entry?.type === 'L') this.#next.name = text(meta, 0, meta.length)
    else if (this.#entry?.type === 'K') this.#next.link = text(meta, 0, meta.length)
    else if (this.#entry?.type === 'x') this.#pax(meta)
  }

  /** `LENGTH KEY=VALUE\n` */
  #pax(records: Buffer): void {
    for (let at = 0; at < records.length; ) {
      const space = records.indexOf(0x20, at)
      const length = Number(records.toString('latin1', at, space))
      if (space < 0 || !(length > space - at + 1 && at + length <= records.length))
        throw new TarError('a record is broken')
      const [, key, value] = /^([^=]*)=(.*)\n$/s.exec(records.toString('utf8', space + 1, at + length)) ?? []
      if (key === 'path') this.#next.name = value
      if (key === 'linkpath') this.#next.link = value
      if (key === 'size') this.#next.size = Number(value)
      at += length
    }
  }
}

/** Relative and without `.`; undefined for a name that leaves the folder. */
function inside(name: string): string | undefined {
  if (name.startsWith('/') || name.includes('\0') || name.length > MOST_NAME) return undefined
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  return parts.includes('..') || parts.length > MOST_DEPTH ? undefined : parts.join('/')
}

/** A link without `..` ends below the folder it is in, whatever it passes. */
function leadsDown(target: string): boolean {
  return target !== '' && inside(target) !== undefined
}

function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at)
  return block.toString('utf8', at, end < 0 || end > at + length ? at + length : end)
}

/** Octal, or binary where the first bit is set (GNU). */
function number(block: Buffer, at: number, length: number): number {
  if (block[at] & 0x80) {
    let value = block[at] & 0x7f
    for (let i = at + 1; i < at + length; i++) value = value * 256 + block[i]
    return value
  }
  const digits = block
    .toString('latin1', at, at + length)
    .replace(/[\0 ]+$/, '')
    .trim()
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
}
