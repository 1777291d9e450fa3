// The header by which a program behind a proxy learns who really connected: PROXY protocol, versions 1 and 2
// (haproxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).
import { type Endpoint, IpAddress } from '../../wire/address.ts'

// Section 2.2: the twelve bytes that no other protocol begins with.
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const VERSION_2_PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21

/** The first bytes of a TCP connection from `source` to `destination`, which must be of one family. */
export function proxyHeader(version: 'v1' | 'v2', source: Endpoint, destination: Endpoint): Uint8Array {
  return version === 'v1' ? version1(source, destination) : version2(source, destination)
}

function version1(source: Endpoint, destination: Endpoint): Uint8Array {
  const family = source.address.family === 4 ? 'TCP4' : 'TCP6'
  return Buffer.from(
    `PROXY ${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`,
    'latin1',
  )
}

function version2(source: Endpoint, destination: Endpoint): Uint8Array {
  const [from, to] = [source.address.bytes, destination.address.bytes]
  const header = Buffer.alloc(SIGNATURE.length + 4 + from.length + to.length + 4)
  header.set(SIGNATURE)
  header[12] = VERSION_2_PROXY
  header[13] = source.address.family === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6
  header.writeUInt16BE(from.length + to.length + 4, 14)
  header.set(from, 16)
  header.set(to, 16 + from.length)
  header.writeUInt16BE(source.port, 16 + from.length + to.length)
  header.writeUInt16BE(destination.port, 18 + from.length + to.length)
  return header
}

/** One of `candidates` that is of the same family as `address`; else that family's unspecified address. */
export function ofSameFamily(address: IpAddress, candidates: IpAddress[], unspecified: IpAddress): IpAddress {
  return candidates.find(({ family }) => family === address.family) ?? unspecified
}

/** An IPv4 caller of a dual-stack socket shows as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
export function plainAddress(address: IpAddress): IpAddress {
  if (address.family === 4) return address
  const { bytes } = address
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return mapped ? new IpAddress(bytes.slice(12)) : address
}
