// A capture on disk: the pieces the engine tells, as they come; each further file begins as the first one did, with all
// names that were told so far.
import { closeSync, openSync, writeSync } from 'node:fs'
import { format, parse } from 'node:path'
import type { CaptureEvent } from '../control/views.ts'
import { CliError } from './output.ts'

export class CaptureFile {
  readonly #path: string
  readonly #limit: number
  #fd: number | undefined
  /** Of the current file; and whether a packet is in it. */
  #size = 0
  #hasPackets = false
  readonly #beginning: Buffer[] = []
  packets = 0
  /** Of all files. */
  bytes = 0
  dropped = 0
  files = 0

  /** `limit`: bytes at which another file is begun. `-` is the standard output. */
  constructor(path: string, limit = Number.POSITIVE_INFINITY) {
    this.#path = path
    this.#limit = limit
  }

  /** For people. */
  get where(): string {
    return this.#path === '-' ? 'the standard output' : this.#path
  }

  /** Writes a piece. Throws CliError when that fails. */
  take({ kind, data, count, dropped }: CaptureEvent): void {
    const bytes = Buffer.from(data, 'base64')
    if (kind === 'packets') {
      if (this.#hasPackets && this.#size + bytes.length > this.#limit) this.#next()
      this.#write(bytes)
      this.#hasPackets = true
    } else {
      this.#beginning.push(bytes)
      if (this.files === 0) this.#next()
      else this.#write(bytes)
    }
    this.packets += count
    this.dropped += dropped
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #next(): void {
    this.close()
    this.files++
    this.#size = 0
    this.#hasPackets = false
    if (this.#path !== '-') this.#guard(() => (this.#fd = openSync(this.#name(), 'w', 0o600)))
    for (const bytes of this.#beginning) this.#write(bytes)
  }

  /** `web.pcapng`, `web-2.pcapng`, `web-3.pcapng`, ... */
  #name(): string {
    if (this.files === 1) return this.#path
    const { dir, name, ext } = parse(this.#path)
    return format({ dir, name: `${name}-${this.files}`, ext })
  }

  #write(bytes: Buffer): void {
    if (this.#path === '-') process.stdout.write(bytes)
    for (let at = 0; this.#fd !== undefined && at < bytes.length; )
      at += this.#guard(() => writeSync(this.#fd!, bytes, at, bytes.length - at))
    this.#size += bytes.length
    this.bytes += bytes.length
  }

  #guard<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new CliError(
        `${this.#name()} cannot be written: ${code}`,
        'what was written before is whole; name another file',
      )
    }
  }
}
