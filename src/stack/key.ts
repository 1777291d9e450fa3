// What names a flow: two addresses and two ports as 32-bit words, so that the packet path compares and hashes plain
// integers. `local` is the side the stack speaks for: the destination of what comes in, the source of what goes out.
import { type Endpoint, IpAddress } from '../wire/address.ts'
import { get32, put32 } from '../wire/bytes.ts'
import { addWord, fold } from '../wire/checksum.ts'
import type { IpView } from '../wire/ip.ts'
import { IPV4_DONT_FRAGMENT, IPV4_HEADER, writeIpv4 } from '../wire/ipv4.ts'
import { IPV6_HEADER, writeIpv6 } from '../wire/ipv6.ts'

/** IPv4 addresses are in word 0, the others are 0 then. */
export class FlowKey {
  version = 4
  local0 = 0
  local1 = 0
  local2 = 0
  local3 = 0
  remote0 = 0
  remote1 = 0
  remote2 = 0
  remote3 = 0
  /** Local port << 16 | remote port: the order in which they stand in a header that is sent. */
  ports = 0
  hash = 0
  /** The next flow of the same bucket in a FlowTable. */
  next: FlowKey | null = null

  /** Takes the addresses of a packet that came in, and the ports at its payload's first bytes if it has some. */
  fromPacket(view: IpView, withPorts: boolean): void {
    const buffer = view.buffer
    const { source, destination, payload } = view
    this.version = view.version
    this.remote0 = get32(buffer, source)
    this.local0 = get32(buffer, destination)
    if (view.version === 6) {
      this.remote1 = get32(buffer, source + 4)
      this.remote2 = get32(buffer, source + 8)
      this.remote3 = get32(buffer, source + 12)
      this.local1 = get32(buffer, destination + 4)
      this.local2 = get32(buffer, destination + 8)
      this.local3 = get32(buffer, destination + 12)
    } else {
      this.remote1 = this.remote2 = this.remote3 = this.local1 = this.local2 = this.local3 = 0
    }
    this.ports = withPorts
      ? (buffer[payload + 2] << 24) | (buffer[payload + 3] << 16) | (buffer[payload] << 8) | buffer[payload + 1]
      : 0
    this.rehash()
  }

  fromEndpoints(local: Endpoint, remote: Endpoint): void {
    if (local.address.family !== remote.address.family) throw new RangeError('addresses of two families in one flow')
    const version = (this.version = local.address.family)
    const l = local.address.bytes
    const r = remote.address.bytes
    this.local0 = get32(l, 0)
    this.remote0 = get32(r, 0)
    this.local1 = version === 6 ? get32(l, 4) : 0
    this.local2 = version === 6 ? get32(l, 8) : 0
    this.local3 = version === 6 ? get32(l, 12) : 0
    this.remote1 = version === 6 ? get32(r, 4) : 0
    this.remote2 = version === 6 ? get32(r, 8) : 0
    this.remote3 = version === 6 ? get32(r, 12) : 0
    this.ports = (local.port << 16) | remote.port
    this.rehash()
  }

  copyFrom(other: FlowKey): void {
    this.version = other.version
    this.local0 = other.local0
    this.local1 = other.local1
    this.local2 = other.local2
    this.local3 = other.local3
    this.remote0 = other.remote0
    this.remote1 = other.remote1
    this.remote2 = other.remote2
    this.remote3 = other.remote3
    this.ports = other.ports
    this.hash = other.hash
  }

  private rehash(): void {
    let hash = Math.imul(this.ports ^ this.remote0, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ this.local0, 0x85ebca6b)
    if (this.version === 6) {
      hash = Math.imul(hash ^ (hash >>> 13) ^ this.local3 ^ (this.local1 << 7), 0xc2b2ae35)
      hash = Math.imul(hash ^ (hash >>> 15) ^ this.remote3 ^ (this.remote2 << 5) ^ this.local2, 0x27d4eb2f)
      hash ^= this.remote1
    }
    this.hash = hash ^ (hash >>> 16)
  }

  equals(other: FlowKey): boolean {
    return (
      this.ports === other.ports &&
      this.remote0 === other.remote0 &&
      this.local0 === other.local0 &&
      this.version === other.version &&
      this.remote3 === other.remote3 &&
      this.local3 === other.local3 &&
      this.remote2 === other.remote2 &&
      this.local2 === other.local2 &&
      this.remote1 === other.remote1 &&
      this.local1 === other.local1
    )
  }

  /** The folded sum of both addresses: the part of a pseudo header's sum that stays the same. */
  addressSum(): number {
    let sum = addWord(addWord(0, this.local0), this.remote0)
    if (this.version === 6) {
      sum = addWord(addWord(addWord(sum, this.local1), this.local2), this.local3)
      sum = addWord(addWord(addWord(sum, this.remote1), this.remote2), this.remote3)
    }
    return fold(sum)
  }

  get localPort(): number {
    return this.ports >>> 16
  }

  get remotePort(): number {
    return this.ports & 0xffff
  }

  localAddress(): IpAddress {
    return address(this.version, this.local0, this.local1, this.local2, this.local3)
  }

  remoteAddress(): IpAddress {
    return address(this.version, this.remote0, this.remote1, this.remote2, this.remote3)
  }

  get ipHeader(): number {
    return this.version === 4 ? IPV4_HEADER : IPV6_HEADER
  }
}

/** Writes the IP header of a packet from `local` to `remote` that must not be cut. RFC 6864 4.1: its ID says nothing. */
export function writeIp(bytes: Uint8Array, at: number, key: FlowKey, protocol: number, payload: number): void {
  if (key.version === 4) {
    writeIpv4(bytes, at, IPV4_HEADER + payload, protocol, key.local0, key.remote0, 0, IPV4_DONT_FRAGMENT)
  } else {
    writeIpv6(
      bytes,
      at,
      payload,
      protocol,
      key.local0,
      key.local1,
      key.local2,
      key.local3,
      key.remote0,
      key.remote1,
      key.remote2,
      key.remote3,
    )
  }
}

function address(version: number, w0: number, w1: number, w2: number, w3: number): IpAddress {
  const bytes = new Uint8Array(version === 4 ? 4 : 16)
  put32(bytes, 0, w0)
  if (version === 6) {
    put32(bytes, 4, w1)
    put32(bytes, 8, w2)
    put32(bytes, 12, w3)
  }
  return new IpAddress(bytes)
}
