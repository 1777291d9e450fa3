// Which program of this machine a flow belongs to, as far as the engine's user may see: nothing is asked until somebody
// looks, what was found is kept with the flow, and /proc is read in short slices so that packets are not kept waiting.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Endpoint } from '../wire/address.ts'
import { connectedKey, kernelText, portKey, readSockets } from './sockets.ts'

export interface Owner {
  pid: number
  name: string
}

/** What a flow is to this file: `remote` is the program's end, as in the stack. */
export interface SocketPair {
  readonly protocol: 'tcp' | 'udp'
  readonly local: Endpoint
  readonly remote: Endpoint
}

// Longest time in one turn of the event loop, ms.
const SLICE_MS = 4
// A flow nobody was found for (another user's) is looked for again after this.
const ASK_AGAIN_MS = 5_000
/** Processes that were found to own flows and are looked at first. */
const MOST_KNOWN = 64
// `findAtOnce` takes at most this part of the time, over this many ms.
const AT_ONCE_SHARE = 0.2
const AT_ONCE_MS = 1_000
// One search of it: longer than a slice, since wall time runs on while a busy machine runs something else.
const AT_ONCE_SLICE_MS = 20
/** Processes that were started last and are looked at before all others. */
const YOUNGEST = 8

type Inodes = (flow: SocketPair) => string | undefined
type Wanted = Map<string, SocketPair[]>

export class Processes {
  readonly #proc: string
  readonly #owners = new WeakMap<SocketPair, Owner>()
  readonly #missed = new WeakMap<SocketPair, number>()
  // Newest last.
  readonly #known = new Set<string>()
  #busy: Promise<void> = Promise.resolve()
  // Milliseconds that `findAtOnce` may take, as of a time.
  #credit = AT_ONCE_SHARE * AT_ONCE_MS
  #creditAt = 0

  /** `proc`: where procfs is mounted. */
  constructor(proc = '/proc') {
    this.#proc = proc
  }

  /** What was found before. */
  ownerOf(flow: SocketPair): Owner | undefined {
    return this.#owners.get(flow)
  }

  /** Looks for the owners of flows that have none yet. Never rejects. */
  find(flows: Iterable<SocketPair>): Promise<void> {
    const wanted = [...flows]
    this.#busy = this.#busy.then(() => this.#find(wanted)).catch(() => {})
    return this.#busy
  }

  /**
   * Looks for the owner of a flow in this turn, while its program waits to be connected and cannot end: for programs
   * that live for milliseconds. Gives up after a while, and does nothing when it has taken its share of the time.
   */
  findAtOnce(flow: SocketPair): void {
    const began = performance.now()
    this.#credit = Math.min(AT_ONCE_SHARE * AT_ONCE_MS, this.#credit + AT_ONCE_SHARE * (began - this.#creditAt))
    this.#creditAt = began
    if (this.#credit <= 0) return
    try {
      const read = (table: string) => readOr(() => readFileSync(`${this.#proc}/net/${table}`, 'latin1'), '')
      const texts = new Map([flow.protocol, `${flow.protocol}6`].map((table) => [table, read(table)]))
      const search = this.#search(this.#wanted([flow], inodesOf(texts)))
      for (let step = search.next(); !step.done && performance.now() < began + AT_ONCE_SLICE_MS; ) {
        const folder = step.value
        step = search.next(folder !== undefined && isSmall(folder) ? list(folder) : [])
      }
    } finally {
      this.#credit -= performance.now() - began
    }
  }

  async #find(flows: SocketPair[]): Promise<void> {
    const now = performance.now()
    const open = flows.filter(
      (flow) => !this.#owners.has(flow) && now - (this.#missed.get(flow) ?? Number.NEGATIVE_INFINITY) >= ASK_AGAIN_MS,
    )
    if (open.length === 0) return
    const texts = new Map<string, string>()
    for (const protocol of new Set(open.map((flow) => flow.protocol)))
      for (const table of [protocol, `${protocol}6`])
        texts.set(table, await readFile(`${this.#proc}/net/${table}`, 'latin1').catch(() => ''))
    for (const flow of open) this.#missed.set(flow, now)
    const search = this.#search(this.#wanted(open, inodesOf(texts)))
    let until = performance.now() + SLICE_MS
    for (let step = search.next(); !step.done; ) {
      const folder = step.value
      const found =
        folder === undefined ? [] : isSmall(folder) ? list(folder) : await readdir(folder).catch(() => [] as string[])
      if (performance.now() > until) {
        await new Promise((resolve) => setImmediate(resolve))
        until = performance.now() + SLICE_MS
      }
      step = search.next(found)
    }
  }

  /** The flows by what /proc/PID/fd shows for their sockets. */
  #wanted(flows: SocketPair[], inodeOf: Inodes): Wanted {
    const wanted: Wanted = new Map()
    for (const flow of flows) {
      const inode = inodeOf(flow)
      if (inode === undefined) continue
      const link = `socket:[${inode}]`
      const others = wanted.get(link)
      if (others) others.push(flow)
      else wanted.set(link, [flow])
    }
    return wanted
  }

  /**
   * Goes through the processes until every flow has an owner: the youngest, known owners, the rest. Yields often: a
   * folder, to be given its list, or undefined.
   */
  *#search(wanted: Wanted): Generator<string | undefined, void, string[]> {
    if (wanted.size === 0) return
    const all = list(this.#proc).filter((name) => /^\d+$/.test(name))
    all.sort((a, b) => Number(b) - Number(a))
    for (const pid of new Set([...all.slice(0, YOUNGEST), ...[...this.#known].reverse(), ...all])) {
      let owner: Owner | undefined
      for (const fd of yield `${this.#proc}/${pid}/fd`) {
        const link = readOr(() => readlinkSync(`${this.#proc}/${pid}/fd/${fd}`), '')
        const flows = wanted.get(link)
        if (flows) {
          owner ??= {
            pid: Number(pid),
            name: programName(`${this.#proc}/${pid}`),
          }
          for (const flow of flows) this.#owners.set(flow, owner)
          wanted.delete(link)
          if (wanted.size === 0) break
        }
        yield undefined
      }
      if (owner) this.#remember(pid)
      else this.#known.delete(pid)
      if (wanted.size === 0) return
    }
  }

  #remember(pid: string): void {
    this.#known.delete(pid)
    this.#known.add(pid)
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.keys().next().value!)
  }
}

/**
 * The executable's file name, since a program may call its main thread anything: all of Node's are `MainThread`. The name
 * of the main thread where the executable may not be seen. `folder`: /proc/PID.
 */
function programName(folder: string): string {
  const path = readOr(() => readlinkSync(`${folder}/exe`), '').replace(/ \(deleted\)$/, '')
  return basename(path) || readOr(() => readFileSync(`${folder}/comm`, 'utf8'), '').trim()
}

/** From a flow to its socket's inode; `texts` are the kernel's tables by their names. */
function inodesOf(texts: ReadonlyMap<string, string>): Inodes {
  const tables = { tcp: new Map<string, string>(), udp: new Map<string, string>() }
  for (const [name, text] of texts) {
    const protocol = name.startsWith('udp') ? 'udp' : 'tcp'
    readSockets(text, tables[protocol], protocol === 'udp')
  }
  return ({ protocol, local, remote }) => {
    const program = kernelText(remote)
    const table = tables[protocol]
    return (
      table.get(connectedKey(program, kernelText(local))) ??
      (protocol === 'udp' ? table.get(portKey(program.slice(-4))) : undefined)
    )
  }
}

/**
 * Whether a folder of descriptors may be listed in this thread: the kernel takes some 25 us for each. Its size is how
 * many there are, since Linux 6.2; 0 before.
 */
const isSmall = (folder: string): boolean => readOr(() => statSync(folder).size < 500, true)

/** A process that has ended, or is another user's, has nothing to read. */
function readOr<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}

const list = (path: string): string[] => readOr(() => readdirSync(path), [])
