// Which flow a packet belongs to and what is said about it in a capture: the name of its service or pod and its program.
// Looked up once a flow, by the packet's own bytes.
import { IpAddress } from '../wire/address.ts'
import { get16 } from '../wire/bytes.ts'
import { type IpView, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts'
import type { AddressNames } from './address-names.ts'
import type { Processes, SocketPair } from './processes.ts'

/** Flows whose notes are kept; the table starts anew above it. */
const MOST_FLOWS = 4096
const SYN = 2
const ACK = 16

/** What is known of a flow in a capture. `protocol` is undefined for what has no ports: ICMP, later fragments. */
export interface CapturedFlow {
  /** The cluster's end. */
  readonly address: IpAddress
  readonly pair: SocketPair | undefined
  readonly wanted: boolean
}

export class CapturedFlows {
  readonly #names: AddressNames | undefined
  readonly #processes: Processes
  readonly #isWanted: (address: IpAddress) => boolean
  // By direction, addresses and ports, as they stand in the packet.
  readonly #flows = { in: new Map<string, CapturedFlow>(), out: new Map<string, CapturedFlow>() }

  constructor(
    names: AddressNames | undefined,
    processes: Processes,
    isWanted: (address: IpAddress) => boolean = () => true,
  ) {
    this.#names = names
    this.#processes = processes
    this.#isWanted = isWanted
  }

  /** The flow of the packet in `view`. A SYN of a program begins another one. */
  of(view: IpView, direction: 'in' | 'out'): CapturedFlow {
    const flows = this.#flows[direction]
    const key = keyOf(view)
    const known = flows.get(key)
    if (known && !(direction === 'out' && isSyn(view))) return known
    const flow = this.#make(view, direction)
    if (flows.size >= MOST_FLOWS) flows.clear()
    flows.set(key, flow)
    if (direction === 'out') this.#flows.in.delete(turned(view))
    return flow
  }

  /** `web.shop:80 curl[4711]`, as much of it as is known by now. */
  noteOf({ address, pair }: CapturedFlow): string {
    const name = this.#names?.nameOf(address) ?? address.toString()
    if (!pair) return name
    const owner = this.#processes.ownerOf(pair)
    return `${name}:${pair.local.port}${owner ? ` ${owner.name}[${owner.pid}]` : ''}`
  }

  #make(view: IpView, direction: 'in' | 'out'): CapturedFlow {
    const { buffer, source, destination, payload, version } = view
    const family = version === 6 ? 6 : 4
    const ends = [source, destination].map((at) => IpAddress.from(buffer, at, family))
    const [program, cluster] = direction === 'out' ? ends : [ends[1], ends[0]]
    const wanted = this.#isWanted(cluster)
    if (!hasPorts(view)) return { address: cluster, pair: undefined, wanted }
    // The same flow the other way has the same owner: one look-up, one object.
    const opposite = this.#flows[direction === 'out' ? 'in' : 'out'].get(turned(view))
    if (opposite && !isSyn(view)) return opposite
    const ports = [get16(buffer, payload), get16(buffer, payload + 2)]
    const [programPort, clusterPort] = direction === 'out' ? ports : [ports[1], ports[0]]
    const pair: SocketPair = {
      protocol: view.protocol === PROTOCOL_TCP ? 'tcp' : 'udp',
      local: { address: cluster, port: clusterPort },
      remote: { address: program, port: programPort },
    }
    if (wanted) this.#processes.findAtOnce(pair)
    return { address: cluster, pair, wanted }
  }
}

function hasPorts({ protocol, fragmented, payload, end }: IpView): boolean {
  return !fragmented && (protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP) && payload + 4 <= end
}

function isSyn(view: IpView): boolean {
  return (
    view.protocol === PROTOCOL_TCP &&
    !view.fragmented &&
    view.payload + 14 <= view.end &&
    (view.buffer[view.payload + 13] & (SYN | ACK)) === SYN
  )
}

/** Protocol, source, destination and ports, octet by octet. */
function keyOf(view: IpView): string {
  const { source, destination, payload } = view
  return view.protocol + text(view, source) + text(view, destination) + (hasPorts(view) ? octets(view, payload, 4) : '')
}

/** The key of a packet the other way. */
function turned(view: IpView): string {
  const { source, destination, payload } = view
  const ports = hasPorts(view) ? octets(view, payload + 2, 2) + octets(view, payload, 2) : ''
  return view.protocol + text(view, destination) + text(view, source) + ports
}

const text = (view: IpView, at: number): string => octets(view, at, view.addressLength)
function octets({ buffer }: IpView, at: number, length: number): string {
  let result = ''
  for (let i = at; i < at + length; i++) result += String.fromCharCode(buffer[i])
  return result
}
