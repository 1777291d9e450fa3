// What lies before each cluster's API server, as far as port-forwards tell it: which protocol passes, and how long a
// connection lives. It is remembered, so that the next process begins with the right one.
import type { Clock } from '../../base/clock.ts'
import { TunnelError } from '../errors.ts'
import type { WebSocketTarget } from './dial.ts'
import { RefusedError } from './http-upgrade.ts'
import { Lifetimes } from './lifetimes.ts'
import type { Path, Way } from './path.ts'
import { openPortForward, WAY_NAMES } from './portforward.ts'

/** So many connections in a row that were opened and brought nothing: the other way is tried. */
const BARREN_AT_FIRST = 2
/** Of a way that has worked: the agent may be what is silent. */
const BARREN_LATER = 20
/** One that was given up sooner says nothing. */
const BARREN_MS = 1_000

export interface DoorNotes {
  way?: Way
  /** Milliseconds. */
  lifetimeMs?: number
}

/** Keeps notes about front doors. Neither call throws. */
export interface DoorMemory {
  recall(door: string): DoorNotes
  note(door: string, notes: DoorNotes): void
}

export interface FrontDoorsOptions {
  memory: DoorMemory
  clock: Clock
  log(line: string): void
  /** Default: `openPortForward`. */
  open?: typeof openPortForward
}

export class FrontDoors {
  readonly #options: FrontDoorsOptions
  readonly #doors = new Map<string, FrontDoor>()

  constructor(options: FrontDoorsOptions) {
    this.#options = options
  }

  /** As `openPortForward`. */
  readonly open = (endpoint: WebSocketTarget, signal?: AbortSignal): Promise<Path> => {
    const name = doorOf(endpoint)
    let door = this.#doors.get(name)
    if (!door) {
      door = new FrontDoor(name, this.#options)
      this.#doors.set(name, door)
    }
    return door.open(endpoint, signal)
  }
}

/** The server and the proxy before it, without anything secret. */
export function doorOf({ url, proxy }: WebSocketTarget): string {
  const { protocol, host, pathname } = new URL(url)
  const prefix = pathname.replace(/\/api\/v1\/namespaces\/.*$/, '')
  const server = `${protocol.replace('ws', 'http')}//${host}${prefix}`
  if (!proxy) return server
  const { protocol: kind, host: proxyHost } = new URL(proxy)
  return `${server} through ${kind}//${proxyHost}`
}

class FrontDoor {
  readonly #name: string
  readonly #options: FrontDoorsOptions
  readonly #lifetimes: Lifetimes
  /** Undefined while nothing is known of it. */
  #way: Way | undefined
  /** It has brought bytes to this process. */
  #proven = false
  #barren = 0
  /** Attempts in a row that had no answer. */
  #silent = 0
  /** How old each of those is that are open. */
  readonly #open = new Set<() => number>()

  constructor(name: string, options: FrontDoorsOptions) {
    this.#name = name
    this.#options = options
    const { way, lifetimeMs } = options.memory.recall(name)
    this.#way = way
    this.#lifetimes = new Lifetimes(lifetimeMs)
  }

  async open(endpoint: WebSocketTarget, signal: AbortSignal | undefined): Promise<Path> {
    const { clock, open = openPortForward } = this.#options
    // Of a way that has worked, silence is the network's, at first.
    const beside = !this.#proven || this.#silent >= BARREN_LATER
    this.#silent++
    try {
      const path = await open(endpoint, signal, { first: this.#first(), beside, clock })
      this.#silent = 0
      return this.#watched(path)
    } catch (error) {
      if (error instanceof RefusedError) this.#silent = 0
      throw error
    }
  }

  #first(): Way {
    const way = this.#way ?? 'spdy'
    const other = way === 'spdy' ? 'websocket' : 'spdy'
    const most = this.#proven ? BARREN_LATER : BARREN_AT_FIRST
    // By turns, since it may be something else that is silent.
    return this.#barren >= most && (this.#barren - most) % 2 === 0 ? other : way
  }

  #watched(path: Path): Path {
    const { clock } = this.#options
    const began = clock.now()
    const age = () => clock.now() - began
    let ours = false
    let fruitful = false
    const brought = () => {
      if (fruitful) return
      fruitful = true
      this.#worked(path.way)
    }
    return {
      ...path,
      start: (onData, onClose) => {
        this.#open.add(age)
        path.start(
          (chunk) => {
            brought()
            onData(chunk)
          },
          (error) => {
            this.#open.delete(age)
            // The cluster's words about the pod came through.
            if (error instanceof TunnelError && error.code === 'unreachable') brought()
            if (!fruitful) {
              if (!ours || age() >= BARREN_MS) this.#barren++
            } else if (ours) this.#lived(age())
            else this.#ended(age())
            onClose(error)
          },
        )
      },
      end: () => {
        ours = true
        path.end()
      },
      destroy: (error) => {
        ours = true
        path.destroy(error)
      },
      fate: () => this.#lifetimes.fate(age()),
    }
  }

  #worked(way: Way | undefined): void {
    this.#barren = 0
    if (!way || (way === this.#way && this.#proven)) return
    // One that worked before in this process may work again tomorrow: only this process goes on with the other one.
    const isNews = way !== this.#way && !this.#proven
    if (way !== (this.#way ?? 'spdy')) this.#options.log(`${this.#name}: port-forwards pass over ${WAY_NAMES[way]}`)
    this.#proven = true
    this.#way = way
    if (isNews) this.#note()
  }

  #ended(age: number): void {
    const before = this.#lifetimes.known
    this.#lifetimes.ended(age, this.#options.clock.now())
    for (const older of this.#open) this.#lifetimes.lived(older())
    this.#noteLifetime(before)
  }

  #lived(age: number): void {
    const before = this.#lifetimes.known
    this.#lifetimes.lived(age)
    this.#noteLifetime(before)
  }

  #noteLifetime(before: number | undefined): void {
    const { known } = this.#lifetimes
    if (known === before) return
    const words = known === undefined ? 'live longer than was thought' : `live for ${(known / 1000).toFixed(1)} s`
    this.#options.log(`${this.#name}: connections ${words}`)
    this.#note()
  }

  #note(): void {
    this.#options.memory.note(this.#name, { way: this.#way, lifetimeMs: this.#lifetimes.known })
  }
}
