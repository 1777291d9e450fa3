// Reassembles fragments of IPv4 and IPv6, with limits on bytes, datagrams and time (30 s). Overlapping fragments end a
// datagram (RFC 5722). The result is one packet without fragments, which is read as if it had arrived whole.
import { put16 } from '../wire/bytes.ts'
import { addBytes, finish } from '../wire/checksum.ts'
import type { IpView } from '../wire/ip.ts'
import { IPV4_CHECKSUM, IPV4_FRAGMENT, IPV4_HEADER, IPV4_TOTAL_LENGTH } from '../wire/ipv4.ts'
import { IPV6_HEADER, IPV6_NEXT_HEADER, IPV6_PAYLOAD_LENGTH } from '../wire/ipv6.ts'
import type { Core } from './core.ts'

const LIFETIME = 30_000 // within what RFC 1122 3.3.2 and RFC 8200 4.5 (60 s) allow: a line of no length
const MAX_DATAGRAMS = 64
/** Memory of a datagram in parts, beside its bytes. */
const OVERHEAD = 512
const LARGEST = 65535

interface Part {
  readonly offset: number
  readonly bytes: Uint8Array
}

class Datagram {
  readonly name: Uint8Array
  readonly parts: Part[] = []
  received = 0
  /** Length of the whole payload, once the last fragment is here; else -1. */
  total = -1
  /** The IP header of the first fragment: 20 or 40 bytes. */
  header: Uint8Array | null = null
  protocol = 0
  cost = OVERHEAD
  /** A dropped datagram stays in the table, so that its other fragments are dropped as well. */
  spoiled = false
  deadline: number
  timerTime = 0
  timerIndex = -1
  private readonly owner: Reassembly

  constructor(owner: Reassembly, name: Uint8Array, deadline: number) {
    this.owner = owner
    this.name = name
    this.deadline = deadline
  }

  onDeadline(): void {
    this.owner.drop(this)
  }
}

export class Reassembly {
  private readonly core: Core
  private readonly datagrams: Datagram[] = []
  /** Memory of all datagrams together. */
  bytes = 0

  constructor(core: Core) {
    this.core = core
  }

  get size(): number {
    return this.datagrams.length
  }

  /** Takes a fragment. Returns the whole packet if this was the last one missing. */
  input(view: IpView): Uint8Array | undefined {
    const size = view.end - view.payload
    const { fragmentOffset: offset, moreFragments: more } = view
    if (size === 0 || offset + size > LARGEST || (more && size % 8 !== 0)) return this.refuse()
    const datagram = this.find(view)
    if (datagram.spoiled) return this.refuse()
    const { parts } = datagram
    let at = 0
    while (at < parts.length && parts[at].offset < offset) at++
    const before = parts[at - 1]
    const after = parts[at]
    if (after !== undefined && after.offset === offset && after.bytes.length === size) return this.refuse() // repeated
    if ((before && before.offset + before.bytes.length > offset) || (after && offset + size > after.offset)) {
      return this.spoil(datagram)
    }
    if (datagram.total >= 0 && (offset + size > datagram.total || !more)) return this.spoil(datagram)
    if (!more) {
      if (at !== parts.length) return this.spoil(datagram)
      datagram.total = offset + size
    }
    if (!this.makeRoom(size + OVERHEAD / 8, datagram)) return this.refuse()
    parts.splice(at, 0, { offset, bytes: view.buffer.slice(view.payload, view.end) })
    datagram.received += size
    datagram.cost += size + OVERHEAD / 8
    this.bytes += size + OVERHEAD / 8
    if (offset === 0) {
      const length = view.version === 4 ? IPV4_HEADER : IPV6_HEADER
      datagram.header = view.buffer.slice(view.start, view.start + length)
      datagram.protocol = view.protocol
    }
    if (datagram.received !== datagram.total || datagram.header === null) return undefined
    this.drop(datagram)
    return assemble(datagram, datagram.header)
  }

  drop(datagram: Datagram): void {
    const at = this.datagrams.indexOf(datagram)
    if (at < 0) return
    this.datagrams.splice(at, 1)
    this.bytes -= datagram.cost
    this.core.timers.remove(datagram)
  }

  clear(): void {
    for (const datagram of [...this.datagrams]) this.drop(datagram)
  }

  private find(view: IpView): Datagram {
    const name = nameOf(view)
    for (const datagram of this.datagrams) if (sameBytes(datagram.name, name)) return datagram
    if (this.datagrams.length >= MAX_DATAGRAMS) this.drop(this.datagrams[0])
    const datagram = new Datagram(this, name, this.core.now + LIFETIME)
    this.datagrams.push(datagram)
    this.bytes += datagram.cost
    this.core.timers.schedule(datagram)
    return datagram
  }

  /** The oldest go first. */
  private makeRoom(size: number, keep: Datagram): boolean {
    const limit = this.core.limits.reassemblyBytes
    while (this.bytes + size > limit) {
      const oldest = this.datagrams.find((datagram) => datagram !== keep)
      if (oldest === undefined) return false
      this.drop(oldest)
    }
    return true
  }

  private spoil(datagram: Datagram): undefined {
    this.bytes -= datagram.cost - OVERHEAD
    datagram.cost = OVERHEAD
    datagram.parts.length = 0
    datagram.spoiled = true
    return this.refuse()
  }

  private refuse(): undefined {
    this.core.counters.dropped++
    return undefined
  }
}

/** RFC 791 2.3: addresses, protocol, identification; RFC 8200 4.5: without the protocol. */
function nameOf(view: IpView): Uint8Array {
  const { buffer, source, destination, addressLength, fragmentId } = view
  const name = new Uint8Array(2 * addressLength + 5)
  name.set(buffer.subarray(source, source + addressLength), 0)
  name.set(buffer.subarray(destination, destination + addressLength), addressLength)
  name.set(buffer.subarray(fragmentId, fragmentId + (view.version === 4 ? 2 : 4)), 2 * addressLength)
  if (view.version === 4) name[name.length - 1] = view.protocol
  return name
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Options of IPv4 and extension headers in front of the fragment header are left out: nothing here reads them. */
function assemble(datagram: Datagram, header: Uint8Array): Uint8Array | undefined {
  const packet = new Uint8Array(header.length + datagram.total)
  packet.set(header)
  for (const { offset, bytes } of datagram.parts) packet.set(bytes, header.length + offset)
  if (header.length === IPV4_HEADER) {
    if (packet.length > LARGEST) return undefined
    packet[0] = 0x45
    put16(packet, IPV4_TOTAL_LENGTH, packet.length)
    put16(packet, IPV4_FRAGMENT, 0)
    put16(packet, IPV4_CHECKSUM, 0)
    put16(packet, IPV4_CHECKSUM, finish(addBytes(0, packet, 0, IPV4_HEADER)))
  } else {
    put16(packet, IPV6_PAYLOAD_LENGTH, datagram.total)
    packet[IPV6_NEXT_HEADER] = datagram.protocol
  }
  return packet
}
