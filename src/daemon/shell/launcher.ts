// The engine's end of the conversation with kt-shell (native/shell.c), which makes a shell's namespaces, runs its command
// there, and gives out sockets that reach the command's ports. The lines in both directions are described at the head of that file.
import type { Duplex } from 'node:stream'
import { getSystemErrorName } from 'node:util'
import { LineSplitter } from '../../control/lines.ts'
import type { InsideFile } from './inside.ts'
import type { InsidePlace } from './inside-place.ts'

/** What a namespace is made of. */
export interface Setup {
  mtu: number
  /** The device's, with prefix lengths. */
  addresses: readonly string[]
  files: readonly InsideFile[]
  place?: InsidePlace
}

/** The namespace that was made. */
export interface Made {
  /** The number of the network namespace, as in `/proc/PID/ns/net`. */
  network: string
  /** The TUN's descriptor, which is the receiver's. */
  tun: number
  /** What of the place is not at its own path, with the name of the errno. */
  left: { path: string; code: string }[]
}

/** A step of the launcher's that failed. */
export class LaunchError extends Error {
  readonly step: string
  /** The name of the errno. */
  readonly code: string

  constructor(step: string, code: string) {
    super(`${step}: ${code}`)
    this.step = step
    this.code = code
  }
}

export type LauncherLine =
  | { type: 'hello' }
  | { type: 'made'; network: string }
  | { type: 'failed'; step: string; code: string }
  /** `index` counts the lines `place`. */
  | { type: 'left'; index: number; code: string }
  /** `code`: undefined where the socket has come. */
  | { type: 'socket'; id: number; code: string | undefined }

/** Undefined for what the launcher does not say. */
export function readLauncherLine(text: string): LauncherLine | undefined {
  const [type, first, second, ...more] = text.split(' ')
  if (more.length > 0) return undefined
  if (type === 'hello' && first === undefined) return { type }
  if (type === 'made' && /^\d{1,20}$/.test(first ?? '') && second === undefined) return { type, network: first }
  const errno = /^\d{1,4}$/.test(second ?? '') ? Number(second) : undefined
  if (errno === undefined) return undefined
  if (type === 'failed' && errno > 0 && /^[a-z-]{1,20}$/.test(first))
    return { type, step: first, code: getSystemErrorName(-errno) }
  if (type === 'left' && errno > 0 && /^\d{1,3}$/.test(first))
    return { type, index: Number(first), code: getSystemErrorName(-errno) }
  if (type === 'socket' && /^\d{1,9}$/.test(first))
    return { type, id: Number(first), code: errno === 0 ? undefined : getSystemErrorName(-errno) }
  return undefined
}

/** What the launcher is told, up to `make`. */
export function setupLines({ mtu, addresses, files, place }: Setup): Buffer {
  const parts: (string | Buffer)[] = [`mtu ${mtu}\n`, ...addresses.map((address) => `address ${address}\n`)]
  for (const { path, content, required } of files) {
    const bytes = Buffer.from(content)
    parts.push(`${required ? 'file' : 'cover'} ${bytes.length} ${path}\n`, bytes)
  }
  if (place) {
    parts.push(`root ${place.root}\n`)
    for (const { path, writable } of place.mounts) parts.push(`place ${writable ? 'rw' : 'ro'} ${path}\n`)
  }
  return Buffer.concat([...parts, 'make\n'].map((part) => Buffer.from(part)))
}

export interface LauncherDeps {
  /** Open, not read yet. */
  lines: Duplex
  /** A descriptor that has come. Throws where there is none. */
  receive(): number
  closeDescriptor(fd: number): void
}

interface Asked {
  resolve(fd: number): void
  reject(error: Error): void
}

export class Launcher {
  /** Settles when the launcher has gone, for whatever reason. */
  readonly gone: Promise<void>
  readonly #deps: LauncherDeps
  readonly #sockets = new Map<number, Asked>()
  readonly #hello = Promise.withResolvers<void>()
  readonly #made = Promise.withResolvers<Made>()
  readonly #left: Made['left'] = []
  #mounts: InsidePlace['mounts'] = []
  #nextSocket = 1
  #over = false

  constructor(deps: LauncherDeps) {
    this.#deps = deps
    const { lines } = deps
    this.#hello.promise.catch(() => {})
    this.#made.promise.catch(() => {})
    this.gone = new Promise((resolve) => {
      lines.on('error', () => {}) // `close` follows
      lines.on('close', () => {
        this.#end()
        resolve()
      })
    })
    const splitter = new LineSplitter()
    lines.on('data', (chunk: Buffer) => {
      try {
        for (const line of splitter.push(chunk)) this.#take(line)
      } catch {
        lines.destroy()
      }
    })
  }

  /** Once. Rejects with LaunchError. */
  async make(setup: Setup): Promise<Made> {
    await this.#hello.promise
    this.#mounts = setup.place?.mounts ?? []
    this.#deps.lines.write(setupLines(setup))
    return await this.#made.promise
  }

  /** Starts the command. */
  go(): void {
    this.#deps.lines.write('go\n')
  }

  /** A socket of the namespace that is not connected; the receiver's. Rejects with LaunchError. */
  socket(protocol: 'tcp' | 'udp', family: 4 | 6): Promise<number> {
    if (this.#over) return Promise.reject(gone())
    const id = this.#nextSocket
    this.#nextSocket = id >= 999_999_999 ? 1 : id + 1
    return new Promise((resolve, reject) => {
      this.#sockets.set(id, { resolve, reject })
      this.#deps.lines.write(`socket ${id} ${protocol} ${family}\n`)
    })
  }

  /** The end of the command, and of what it has started. */
  close(): void {
    this.#deps.lines.destroy()
  }

  #take(text: string): void {
    const line = readLauncherLine(text)
    if (line?.type === 'hello') this.#hello.resolve()
    else if (line?.type === 'made')
      this.#made.resolve({ network: line.network, tun: this.#deps.receive(), left: this.#left })
    else if (line?.type === 'left' && line.index < this.#mounts.length)
      this.#left.push({ path: this.#mounts[line.index].path, code: line.code })
    else if (line?.type === 'failed') this.#made.reject(new LaunchError(line.step, line.code))
    else if (line?.type === 'socket') this.#socketMade(line.id, line.code)
    else throw new Error('not a line of the launcher')
  }

  #socketMade(id: number, code: string | undefined): void {
    const asked = this.#sockets.get(id)
    this.#sockets.delete(id)
    if (code !== undefined) {
      asked?.reject(new LaunchError('socket', code))
      return
    }
    const fd = this.#deps.receive()
    if (asked) asked.resolve(fd)
    else this.#deps.closeDescriptor(fd)
  }

  #end(): void {
    this.#over = true
    this.#hello.reject(gone())
    this.#made.reject(gone())
    for (const { reject } of this.#sockets.values()) reject(gone())
    this.#sockets.clear()
  }
}

const gone = () => new LaunchError('launcher', 'EPIPE')
