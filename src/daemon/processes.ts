// Which program of this machine a flow belongs to, as far as the engine's user may see: nothing is asked until somebody
// looks, what was found is kept with the flow, and /proc is read in short slices so that packets are not kept waiting.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { TcpFlow, UdpFlow } from '../stack/api.ts'
import { connectedKey, kernelText, portKey, readSockets } from './sockets.ts'

export interface Owner {
  pid: number
  name: string
}

// Longest time in one turn of the event loop, ms.
const SLICE_MS = 4
// A flow nobody was found for (another user's) is looked for again after this.
const ASK_AGAIN_MS = 5_000
/** Processes that were found to own flows and are looked at first. */
const MOST_KNOWN = 64

type Flow = TcpFlow | UdpFlow

export class Processes {
  readonly #proc: string
  readonly #owners = new WeakMap<Flow, Owner>()
  readonly #missed = new WeakMap<Flow, number>()
  // Newest last.
  readonly #known = new Set<string>()
  #busy: Promise<void> = Promise.resolve()

  /** `proc`: where procfs is mounted. */
  constructor(proc = '/proc') {
    this.#proc = proc
  }

  /** What was found by `find`. */
  ownerOf(flow: Flow): Owner | undefined {
    return this.#owners.get(flow)
  }

  /** Looks for the owners of flows that have none yet. Never rejects. */
  find(flows: Iterable<Flow>): Promise<void> {
    const wanted = [...flows]
    this.#busy = this.#busy.then(() => this.#find(wanted)).catch(() => {})
    return this.#busy
  }

  async #find(flows: Flow[]): Promise<void> {
    const now = performance.now()
    const wanted = flows.filter(
      (flow) => !this.#owners.has(flow) && now - (this.#missed.get(flow) ?? Number.NEGATIVE_INFINITY) >= ASK_AGAIN_MS,
    )
    if (wanted.length === 0) return
    const inodes = await this.#inodes(wanted)
    const byLink = new Map<string, Flow[]>()
    for (const flow of wanted) {
      const inode = inodes(flow)
      this.#missed.set(flow, now)
      if (inode === undefined) continue
      const link = `socket:[${inode}]`
      const others = byLink.get(link)
      if (others) others.push(flow)
      else byLink.set(link, [flow])
    }
    await this.#scan(byLink)
  }

  /** A function from a flow to its socket's inode. The program's end is the flow's `remote`. */
  async #inodes(flows: Flow[]): Promise<(flow: Flow) => string | undefined> {
    const tables = { tcp: new Map<string, string>(), udp: new Map<string, string>() }
    for (const protocol of ['tcp', 'udp'] as const) {
      if (!flows.some((flow) => flow.protocol === protocol)) continue
      for (const table of [protocol, `${protocol}6`]) {
        const text = await readFile(`${this.#proc}/net/${table}`, 'latin1').catch(() => '')
        readSockets(text, tables[protocol], protocol === 'udp')
      }
    }
    return (flow) => {
      const program = kernelText(flow.remote)
      const table = tables[flow.protocol]
      return (
        table.get(connectedKey(program, kernelText(flow.local))) ??
        (flow.protocol === 'udp' ? table.get(portKey(program.slice(-4))) : undefined)
      )
    }
  }

  /** Goes through the processes until every link has an owner: known owners first, then the youngest. */
  async #scan(links: Map<string, Flow[]>): Promise<void> {
    const known = [...this.#known].reverse()
    const rest = readdirSync(this.#proc).filter((name) => /^\d+$/.test(name) && !this.#known.has(name))
    let until = performance.now() + SLICE_MS
    for (const pid of [...known, ...rest.sort((a, b) => Number(b) - Number(a))]) {
      if (links.size === 0) return
      let owner: Owner | undefined
      for (const fd of list(`${this.#proc}/${pid}/fd`)) {
        if (performance.now() > until) {
          await new Promise((resolve) => setImmediate(resolve))
          until = performance.now() + SLICE_MS
        }
        const link = linkOf(`${this.#proc}/${pid}/fd/${fd}`)
        const flows = links.get(link)
        if (!flows) continue
        owner ??= { pid: Number(pid), name: this.#nameOf(pid) }
        for (const flow of flows) this.#owners.set(flow, owner)
        links.delete(link)
        if (links.size === 0) break
      }
      if (owner) this.#remember(pid)
      else this.#known.delete(pid)
    }
  }

  #remember(pid: string): void {
    this.#known.delete(pid)
    this.#known.add(pid)
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.keys().next().value!)
  }

  #nameOf(pid: string): string {
    try {
      return readFileSync(`${this.#proc}/${pid}/comm`, 'utf8').trim()
    } catch {
      return ''
    }
  }
}

/** Empty for a process that has ended, or that is another user's. */
function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // closed meanwhile
  }
}
