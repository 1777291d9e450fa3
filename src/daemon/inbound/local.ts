// The near end of an exchange: what the cluster sends to one of the shadow's ports goes to a port of a program here
// (program-network.ts). The program answers first: only when it has accepted is the caller's connection taken. One that does not listen
// is waited for (presence.ts); then the caller goes to the original, or is refused.
import type { Socket } from 'node:net'
import { delay, systemClock } from '../../base/clock.ts'
import type { IncomingDatagrams, IncomingStream, ListenHandler, TunnelDatagrams } from '../../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../../wire/address.ts'
import { LocalDatagrams } from './local-datagrams.ts'
import type { Complaints } from './once.ts'
import { PATIENCE_MS, Presence } from './presence.ts'
import { dialProgram, isNobody, type ProgramNetwork } from './program-network.ts'
import { ofSameFamily, plainAddress, proxyHeader } from './proxy-protocol.ts'
import { Splice, type SpliceCounters, type SpliceWatcher } from './splice.ts'

// A program that restarts listens again within some hundred ms.
const AGAIN_MS = 50
const ANY: Record<4 | 6, IpAddress> = { 4: IpAddress.parse('0.0.0.0'), 6: IpAddress.parse('::') }

/** A connection that is still open after this was accepted by a program that lives, not by one that is ending. */
const LIVES_MS = 250
const MOST_LOOKS = 10
/** How often the same request is sent again to a program that lives. */
const MOST_REPEATS = 3
/** How many programs get the same request, one after the other: it may be what ends each of them. */
const MOST_PROGRAMS = 12

export interface LocalCounters extends SpliceCounters {
  total: number
  refused: number
}

export interface LocalTargetOptions {
  network: ProgramNetwork
  /** Port of the program. */
  local: number
  /** The Service's port, for messages. */
  remote: number
  proxyProtocol?: 'v1' | 'v2'
  /** Whether the original serves what nobody here does. Otherwise it is refused. */
  fallback: boolean
  /** How long a program that does not listen is waited for; PATIENCE_MS if undefined. */
  patienceMs?: number
  /** The shadow's own addresses: where its callers connected to. */
  addresses(): string[]
  counters: LocalCounters
  complaints: Complaints
  /** Asked for each connection: somebody who looks on as its bytes pass. */
  watch?(caller: Endpoint): SpliceWatcher | undefined
}

export class LocalTarget implements ListenHandler {
  readonly #options: LocalTargetOptions
  readonly #splices = new Set<Splice>()
  readonly #datagrams = new Set<() => void>()
  #presence: Presence
  readonly #closed = new AbortController()
  /** Settles when the one that looks for the program has found it or given up; undefined while nobody looks. */
  #looking: Promise<void> | undefined
  /** The one that answered last comes first. */
  #host: string

  constructor(options: LocalTargetOptions) {
    this.#options = options
    this.#host = options.network.hosts[0]
    this.#presence = new Presence(options.patienceMs)
  }

  /** Connections that are open. */
  get splices(): ReadonlySet<Splice> {
    return this.#splices
  }

  onStream(incoming: IncomingStream): void {
    this.#options.counters.total++
    void this.#connectPatiently().then(
      (dialled) => this.#join(dialled, incoming),
      (error: NodeJS.ErrnoException) => {
        this.#options.counters.refused++
        const words = `nothing answers on ${this.#place}`
        if (this.#options.fallback) incoming.decline(words)
        else incoming.refuse(error.code === 'ETIMEDOUT' ? 'timeout' : 'refused', `${error.code}: ${words}`)
      },
    )
  }

  onDatagrams(incoming: IncomingDatagrams): void {
    const { counters, local, network } = this.#options
    counters.total++
    let flow: TunnelDatagrams | undefined
    const onMessage = (payload: Buffer) => {
      counters.bytesOut += payload.length
      this.#options.complaints.well(this.#complaint)
      flow?.send(payload)
    }
    const onHost = (host: string) => {
      this.#host = host
    }
    const onRefused = (error: NodeJS.ErrnoException) => {
      counters.refused++
      this.#complain(error, 'datagrams to')
      close()
    }
    const now = () => performance.now()
    const socket = new LocalDatagrams(network, this.#host, local, { onMessage, onHost, onRefused }, now)
    const close = () => {
      if (!this.#datagrams.delete(close)) return
      socket.close()
      flow?.close()
    }
    this.#datagrams.add(close)
    flow = incoming.accept({
      onDatagram: (payload) => {
        if (!this.#datagrams.has(close)) return
        counters.bytesIn += payload.length
        // The view is valid during the call only.
        socket.send(Uint8Array.from(payload))
      },
      onFail: close,
    })
  }

  /** A program that does not listen is not waited for any longer. */
  waitNoMore(): void {
    this.#presence = new Presence(0)
  }

  /** Ends what is open; streams with a reset. */
  close(): void {
    this.#closed.abort()
    for (const splice of [...this.#splices]) splice.reset()
    for (const close of [...this.#datagrams]) close()
  }

  /** Waits for a program that is away. One caller looks for it, and the others wait for what that one finds. */
  async #connectPatiently(): Promise<Dialled> {
    for (;;) {
      await this.#looking
      const dialled = await this.#tryToConnect()
      if (dialled) return dialled
      if (this.#looking) continue
      const looking = this.#look()
      const over = () => {
        this.#looking = undefined
      }
      this.#looking = looking.then(over, over)
      return await looking
    }
  }

  async #look(): Promise<Dialled> {
    for (;;) {
      await delay(AGAIN_MS, this.#closed.signal, systemClock)
      const dialled = await this.#tryToConnect()
      if (dialled) return dialled
    }
  }

  /** Undefined where nobody listens, and it is worth another try. */
  async #tryToConnect(): Promise<Dialled | undefined> {
    try {
      const dialled = await this.#connect()
      this.#presence.answered()
      return dialled
    } catch (error) {
      this.#complain(error as NodeJS.ErrnoException)
      const again = this.#presence.refused(performance.now()) && !this.#closed.signal.aborted
      if (!again || !isNobody(error as Error)) throw error
      return undefined
    }
  }

  async #connect(): Promise<Dialled> {
    let read: (chunk: Uint8Array) => void = () => {}
    const onread = {
      buffer: READ_BUFFER,
      callback: (size: number) => {
        read(READ_BUFFER.subarray(0, size))
        return !socket.isPaused()
      },
    }
    const { network, local } = this.#options
    const { socket, host } = await dialProgram(network, local, { first: this.#host, onread })
    this.#host = host
    return { socket, readTo: (reader) => (read = reader) }
  }

  #join(dialled: Dialled, incoming: IncomingStream): void {
    const { counters } = this.#options
    const { address, port } = incoming.origin
    const watcher = this.#options.watch?.({ address: plainAddress(address), port })
    let repeats = 0
    let programs = 1
    let saidAt = performance.now()
    const begun = ({ socket, readTo }: Dialled): Socket => {
      const { complaints, proxyProtocol } = this.#options
      complaints.well(this.#complaint)
      if (proxyProtocol) socket.write(this.#header(proxyProtocol, incoming))
      readTo((chunk) => splice.fromSocket(chunk))
      return socket
    }
    const splice = new Splice(dialled.socket, counters, {
      onClose: () => this.#splices.delete(splice),
      watcher,
      again: async (harmless) => {
        if (++programs > MOST_PROGRAMS) return undefined
        const may = () => harmless && (this.#presence.missedSince(saidAt) || repeats++ < MOST_REPEATS)
        const successor = await this.#successor(may)
        saidAt = performance.now()
        return successor && begun(successor)
      },
    })
    this.#splices.add(splice)
    begun(dialled)
    splice.attach(incoming.accept(splice), true)
  }

  /**
   * A connection to the program that follows the one that has ended a connection. A program that answers at once may be
   * the same one: then this is undefined, unless `may` allows to send it the request again.
   */
  async #successor(may: () => boolean): Promise<Dialled | undefined> {
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      if (this.#looking) return await this.#connectPatiently()
      const dialled = await this.#connect().catch((error: NodeJS.ErrnoException) => {
        if (!isNobody(error)) throw error
      })
      if (!dialled) return await this.#connectPatiently()
      // The kernel takes connections for a program that is ending.
      const living = await staysOpen(dialled, this.#closed.signal)
      if (living) this.#presence.answered()
      if (living && may()) return living
      dialled.socket.destroy()
      if (living) return undefined
    }
    return undefined
  }

  #header(version: 'v1' | 'v2', { port, origin }: IncomingStream): Uint8Array {
    const source: Endpoint = { address: plainAddress(origin.address), port: origin.port }
    const addresses = this.#options.addresses().map(IpAddress.parse)
    const address = ofSameFamily(source.address, addresses, ANY[source.address.family])
    return proxyHeader(version, source, { address, port })
  }

  get #place(): string {
    return this.#options.network.portName(this.#options.local)
  }

  get #complaint(): string {
    return `local ${this.#options.local}`
  }

  #complain(error: NodeJS.ErrnoException, what: 'requests to' | 'datagrams to' = 'requests to'): void {
    const { remote, complaints, fallback } = this.#options
    const why = isNobody(error) ? 'nothing listens on' : `${error.code} from`
    const instead = fallback ? 'go to the original pods' : 'are refused'
    const fate =
      what === 'requests to' ? `wait up to ${PATIENCE_MS / 1000} s for it and then ${instead}` : 'are dropped'
    complaints.complain(this.#complaint, `${why} ${this.#place}; ${what} port ${remote} ${fate} until something does`)
  }
}

interface Dialled {
  /** Paused. */
  socket: Socket
  /** Says who gets what is read; the memory is used again after the call. */
  readTo(reader: (chunk: Uint8Array) => void): void
}

// All sockets are read into the same memory, whose content is passed on before the next one is read.
const READ_BUFFER = new Uint8Array(64 * 1024)

/** The same connection, if it stays open for some time, or something comes. */
async function staysOpen({ socket, readTo }: Dialled, closed: AbortSignal): Promise<Dialled | undefined> {
  const early: Uint8Array[] = []
  await new Promise<void>((resolve) => {
    readTo((chunk) => {
      early.push(Uint8Array.from(chunk))
      resolve()
    })
    for (const event of ['end', 'close']) socket.once(event, resolve)
    void delay(LIVES_MS, closed, systemClock).then(resolve)
    // A socket that is not read does not see a reset.
    socket.resume()
  })
  socket.pause()
  if (socket.destroyed || socket.readableEnded || closed.aborted) return undefined
  return {
    socket,
    readTo: (reader) => {
      readTo(reader)
      for (const chunk of early.splice(0)) reader(chunk)
    },
  }
}
