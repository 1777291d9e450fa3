// UDP ASSOCIATE: a UDP port of this machine's loopback for one SOCKS client. Each datagram names its target; each target is
// a flow of its own, through the tunnel or from this machine.
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { BoundDatagrams, ConnectedDatagrams } from '../../base/datagram-socket.ts'
import { datagramHead, readDatagram } from '../../proxy/socks.ts'
import type { Reach } from '../../reach/reach.ts'
import type { IpAddress } from '../../wire/address.ts'
import type { SpliceCounters } from '../inbound/splice.ts'

const MOST_ASSOCIATIONS = 256
const MOST_FLOWS = 256
/** RFC 4787 REQ-5 allows two minutes; a flow that is used again is opened again. */
const IDLE_MS = 120_000
/** Datagrams that wait while a name is looked up. */
const MOST_WAITING = 16

export interface UdpOptions {
  reach: Reach
  clock: Clock
  counters: SpliceCounters
}

interface Flow {
  send(payload: Uint8Array): void
  close(): void
}

export class UdpAssociations {
  readonly #options: UdpOptions
  readonly #open = new Set<Association>()

  constructor(options: UdpOptions) {
    this.#options = options
  }

  /**
   * Opens one that lives as long as `client`. `port` is the one that the client says it will send from, 0 if it does not
   * say. Resolves to the port to send to; undefined when there are too many. Rejects when there is no socket to be had.
   */
  async open(address: string, client: Socket, port: number): Promise<number | undefined> {
    if (this.#open.size >= MOST_ASSOCIATIONS) return undefined
    const association = new Association(this.#options, port)
    this.#open.add(association)
    const close = () => {
      association.close()
      this.#open.delete(association)
    }
    client.once('close', close)
    try {
      return await association.bind(address)
    } catch (error) {
      close()
      throw error
    }
  }

  close(): void {
    for (const association of this.#open) association.close()
    this.#open.clear()
  }
}

class Association {
  readonly #options: UdpOptions
  readonly #flows = new Map<string, Flow>()
  #bound: BoundDatagrams | undefined
  /** The first to send is the client; nobody else gets in. */
  #client: { address: string; port: number } | undefined
  readonly #port: number
  #closed = false

  constructor(options: UdpOptions, port: number) {
    this.#options = options
    this.#port = port
  }

  async bind(address: string): Promise<number> {
    const bound = await BoundDatagrams.bind(address, 0, (payload, from) => {
      if (this.#client === undefined && (this.#port === 0 || this.#port === from.port))
        this.#client = { address: from.address, port: from.port }
      if (this.#client?.port === from.port && this.#client.address === from.address) this.#take(payload)
    })
    this.#bound = bound
    if (this.#closed) bound.close()
    return bound.port
  }

  close(): void {
    this.#closed = true
    this.#bound?.close()
    for (const flow of this.#flows.values()) flow.close()
    this.#flows.clear()
  }

  #take(message: Buffer): void {
    const datagram = readDatagram(message)
    if (!datagram) return
    const { host, port, payload } = datagram
    this.#options.counters.bytesOut += payload.length
    const key = `${host} ${port}`
    let flow = this.#flows.get(key)
    if (!flow) {
      if (this.#flows.size >= MOST_FLOWS) return
      flow = this.#begin(key, host, port)
      this.#flows.set(key, flow)
    }
    flow.send(payload)
  }

  #begin(key: string, host: string, port: number): Flow {
    const { reach, clock, counters } = this.#options
    let flow: Flow | undefined
    let waiting: Uint8Array[] | undefined = []
    let over = false
    let idle = clock.after(IDLE_MS, close)
    const self = this
    function close(): void {
      over = true
      idle()
      waiting = undefined
      flow?.close()
      if (self.#flows.get(key) === outer) self.#flows.delete(key)
    }
    const moved = () => {
      idle()
      idle = clock.after(IDLE_MS, close)
    }
    const outer: Flow = {
      send: (payload) => {
        moved()
        if (flow) flow.send(payload)
        else if (waiting && waiting.length < MOST_WAITING) waiting.push(Uint8Array.from(payload))
      },
      close,
    }
    const opened = async () => {
      const address = (await reach.addresses(host))[0]
      const isCluster = reach.requireAllowed(address, port, `${host}:${port}`)
      const head = datagramHead(address, port)
      const received = (payload: Uint8Array) => {
        if (over || !this.#client) return
        moved()
        counters.bytesIn += payload.length
        this.#bound?.send(Buffer.concat([head, payload]), this.#client.port, this.#client.address)
      }
      if (over) return
      flow = isCluster
        ? await this.#throughTunnel(address, port, received, close)
        : direct(address, port, received, close)
      if (over) return void flow?.close()
      for (const payload of waiting ?? []) flow?.send(payload)
      waiting = undefined
    }
    // A datagram for an address that there is not is lost, as on any network.
    opened().catch(close)
    return outer
  }

  async #throughTunnel(
    address: IpAddress,
    port: number,
    received: (payload: Uint8Array) => void,
    failed: () => void,
  ): Promise<Flow> {
    const { reach, clock } = this.#options
    const tunnel = await reach.tunnel(clock.now())
    if (!tunnel) throw new Error('the tunnel is away')
    return tunnel.openDatagrams({ address, port }, { onDatagram: received, onFail: failed })
  }
}

function direct(address: IpAddress, port: number, received: (payload: Uint8Array) => void, failed: () => void): Flow {
  const socket = new ConnectedDatagrams(address.toString(), port, { onMessage: received, onError: failed })
  return { send: (payload) => socket.send(Uint8Array.from(payload)), close: () => socket.close() }
}
