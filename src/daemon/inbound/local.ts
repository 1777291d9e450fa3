// The near end of an exchange: what the cluster sends to one of the shadow's ports goes to a port of this machine's
// loopback. The local program answers first: only when it has accepted is the caller's connection taken. One that does not listen
// is waited for (presence.ts); then the caller goes to the original, or is refused.
import { connect, type Socket } from 'node:net'
import { delay, systemClock } from '../../base/clock.ts'
import type {
  DialFailure,
  IncomingDatagrams,
  IncomingStream,
  ListenHandler,
  TunnelDatagrams,
} from '../../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../../wire/address.ts'
import { LocalDatagrams } from './local-datagrams.ts'
import type { Complaints } from './once.ts'
import { PATIENCE_MS, Presence } from './presence.ts'
import { ofSameFamily, proxyHeader } from './proxy-protocol.ts'
import { Splice, type SpliceCounters, type SpliceWatcher } from './splice.ts'

// Most programs listen on one of these only.
const HOSTS = ['127.0.0.1', '::1']
/** Nothing listens there, or there is no such address: IPv6 is switched off. */
const NOBODY = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH'])
// The shadow has turned to the original by then (docs/understand/agent-protocol.md, `patience`).
const CONNECT_TIMEOUT_MS = 3_000
// A program that restarts listens again within some hundred ms.
const AGAIN_MS = 50
const ANY: Record<4 | 6, IpAddress> = { 4: IpAddress.parse('0.0.0.0'), 6: IpAddress.parse('::') }

export interface LocalCounters extends SpliceCounters {
  total: number
  refused: number
}

export interface LocalTargetOptions {
  /** Port of this machine. */
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
  readonly #presence: Presence
  readonly #closed = new AbortController()
  /** The one that answered last comes first. */
  #host = HOSTS[0]

  constructor(options: LocalTargetOptions) {
    this.#options = options
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
        const words = `nothing answers on localhost:${this.#options.local}`
        if (this.#options.fallback) incoming.decline(words)
        else incoming.refuse(failureOf(error), `${error.code}: ${words}`)
      },
    )
  }

  onDatagrams(incoming: IncomingDatagrams): void {
    const { counters, local } = this.#options
    counters.total++
    const hosts: [string, string] = [this.#host, otherHost(this.#host)]
    let flow: TunnelDatagrams | undefined
    const onMessage = (payload: Buffer) => {
      counters.bytesOut += payload.length
      this.#options.complaints.well(this.#complaint)
      flow?.send(payload)
    }
    const onNobody = (host: string) => {
      this.#host = otherHost(host)
    }
    const onRefused = (error: NodeJS.ErrnoException) => {
      counters.refused++
      this.#complain(error, 'datagrams to')
      close()
    }
    const now = () => performance.now()
    const socket = new LocalDatagrams(hosts, local, { onMessage, onNobody, onRefused }, now)
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

  /** Ends what is open; streams with a reset. */
  close(): void {
    this.#closed.abort()
    for (const splice of [...this.#splices]) splice.reset()
    for (const close of [...this.#datagrams]) close()
  }

  async #connectPatiently(): Promise<Dialled> {
    for (;;) {
      try {
        const dialled = await this.#connect()
        this.#presence.answered()
        return dialled
      } catch (error) {
        this.#complain(error as NodeJS.ErrnoException)
        const again = this.#presence.refused(performance.now()) && !this.#closed.signal.aborted
        if (!again || !NOBODY.has((error as NodeJS.ErrnoException).code ?? '')) throw error
      }
      await delay(AGAIN_MS, this.#closed.signal, systemClock)
    }
  }

  async #connect(): Promise<Dialled> {
    const first = this.#host
    try {
      return await dial(first, this.#options.local)
    } catch (error) {
      const second = otherHost(first)
      const dialled = await dial(second, this.#options.local).catch(() => {
        throw error
      })
      this.#host = second
      return dialled
    }
  }

  #join({ socket, readTo }: Dialled, incoming: IncomingStream): void {
    const { counters, complaints, proxyProtocol } = this.#options
    complaints.well(this.#complaint)
    if (proxyProtocol) socket.write(this.#header(proxyProtocol, incoming))
    const watcher = this.#options.watch?.({ address: plain(incoming.origin.address), port: incoming.origin.port })
    const splice = new Splice(socket, counters, { onClose: () => this.#splices.delete(splice), watcher })
    this.#splices.add(splice)
    readTo((chunk) => splice.fromSocket(chunk))
    splice.attach(incoming.accept(splice), true)
  }

  #header(version: 'v1' | 'v2', { port, origin }: IncomingStream): Uint8Array {
    const source: Endpoint = { address: plain(origin.address), port: origin.port }
    const addresses = this.#options.addresses().map(IpAddress.parse)
    const address = ofSameFamily(source.address, addresses, ANY[source.address.family])
    return proxyHeader(version, source, { address, port })
  }

  get #complaint(): string {
    return `local ${this.#options.local}`
  }

  #complain(error: NodeJS.ErrnoException, what: 'requests to' | 'datagrams to' = 'requests to'): void {
    const { local, remote, complaints, fallback } = this.#options
    const why = NOBODY.has(error.code ?? '') ? 'nothing listens on' : `${error.code} from`
    const instead = fallback ? 'go to the original pods' : 'are refused'
    const fate =
      what === 'requests to' ? `wait up to ${PATIENCE_MS / 1000} s for it and then ${instead}` : 'are dropped'
    complaints.complain(
      this.#complaint,
      `${why} localhost:${local}; ${what} port ${remote} ${fate} until something does`,
    )
  }
}

const otherHost = (host: string): string => HOSTS.find((other) => other !== host)!

interface Dialled {
  /** Paused. */
  socket: Socket
  /** Says who gets what is read; the memory is used again after the call. */
  readTo(reader: (chunk: Uint8Array) => void): void
}

// All sockets are read into the same memory, whose content is passed on before the next one is read.
const READ_BUFFER = new Uint8Array(64 * 1024)

function dial(host: string, port: number): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    let read: (chunk: Uint8Array) => void = () => {}
    const onread = {
      buffer: READ_BUFFER,
      callback: (size: number) => {
        read(READ_BUFFER.subarray(0, size))
        return !socket.isPaused()
      },
    }
    const socket: Socket = connect({ host, port, allowHalfOpen: true, noDelay: true, onread })
    socket.pause()
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })),
      CONNECT_TIMEOUT_MS,
    )
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      socket.on('error', () => {}) // the splice sees its close
      resolve({ socket, readTo: (reader) => (read = reader) })
    })
  })
}

function failureOf({ code }: NodeJS.ErrnoException): DialFailure {
  return code === 'ETIMEDOUT' ? 'timeout' : 'refused'
}

/** An IPv4 caller of a dual-stack socket shows as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
function plain(address: IpAddress): IpAddress {
  if (address.family === 4) return address
  const { bytes } = address
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return mapped ? new IpAddress(bytes.slice(12)) : address
}
