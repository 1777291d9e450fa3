// SOCKS as bytes: SOCKS5 (RFC 1928) with CONNECT and UDP ASSOCIATE, and SOCKS4 with 4A for CONNECT. Pure. A reader gets all
// that has come so far and says what it is, or that more must come; lengths that are read are never trusted.
import { IpAddress } from '../wire/address.ts'

const VERSION5 = 5
const VERSION4 = 4
const NO_AUTHENTICATION = 0
const COMMANDS: Record<number, SocksRequest['command'] | undefined> = { 1: 'connect', 2: 'bind', 3: 'udp' }
const ATYP = { ipv4: 1, name: 3, ipv6: 4 } as const
/** A longer user id than a person has; it is skipped, and nobody may make us keep much. */
const MOST_USER_ID = 255
const MOST_NAME = 255

/** RFC 1928 6. */
export const REPLY = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  netUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  ttlExpired: 6,
  commandUnknown: 7,
  addressUnknown: 8,
} as const
export type Reply = (typeof REPLY)[keyof typeof REPLY]

export interface SocksRequest {
  version: 4 | 5
  command: 'connect' | 'bind' | 'udp'
  /** A name, or an address in text. */
  host: string
  port: number
}

/** `more`: it is not whole yet. `used`: how many bytes it took. */
export type Read<T> =
  | { kind: 'more' }
  | { kind: 'bad'; reply?: Reply; version?: 4 | 5 }
  | { kind: 'read'; value: T; used: number }

const more = { kind: 'more' } as const

/** Is this the first byte of a SOCKS client? */
export function isSocks(byte: number): boolean {
  return byte === VERSION4 || byte === VERSION5
}

/** RFC 1928 3. The value: does the client know a method that we know, which is none at all? */
export function readGreeting(b: Uint8Array): Read<boolean> {
  if (b.length < 2) return more
  const end = 2 + b[1]
  if (b.length < end) return more
  return { kind: 'read', value: b.subarray(2, end).includes(NO_AUTHENTICATION), used: end }
}

/** RFC 1928 3: the method that was chosen, or that none will do. */
export function greetingReply(accepted: boolean): Uint8Array {
  return Uint8Array.of(VERSION5, accepted ? NO_AUTHENTICATION : 0xff)
}

/** RFC 1928 4. */
export function readRequest(b: Uint8Array): Read<SocksRequest> {
  if (b.length < 4) return more
  if (b[0] !== VERSION5) return { kind: 'bad', version: 5, reply: REPLY.failure }
  const target = readTarget(b, 3)
  if (target.kind !== 'read') return target.kind === 'bad' ? { ...target, version: 5 } : target
  const command = COMMANDS[b[1]]
  if (!command) return { kind: 'bad', version: 5, reply: REPLY.commandUnknown }
  return { kind: 'read', value: { version: 5, command, ...target.value }, used: target.used }
}

/** SOCKS4, and 4A where the address is 0.0.0.x with x not 0: the name then follows the user id. */
export function readRequest4(b: Uint8Array): Read<SocksRequest> {
  if (b.length < 9) return more
  const bad = { kind: 'bad', version: 4 } as const
  const userEnd = b.indexOf(0, 8)
  if (userEnd < 0) return b.length > 8 + MOST_USER_ID ? bad : more
  if (userEnd > 8 + MOST_USER_ID) return bad
  const command = COMMANDS[b[1]]
  if (command !== 'connect') return bad
  const port = (b[2] << 8) | b[3]
  const isName = b[4] === 0 && b[5] === 0 && b[6] === 0 && b[7] !== 0
  if (!isName) {
    const host = new IpAddress(b.slice(4, 8)).toString()
    return { kind: 'read', value: { version: 4, command, host, port }, used: userEnd + 1 }
  }
  const nameEnd = b.indexOf(0, userEnd + 1)
  if (nameEnd < 0) return b.length > userEnd + 1 + MOST_NAME ? bad : more
  const host = hostName(b.subarray(userEnd + 1, nameEnd))
  if (host === undefined || nameEnd - userEnd - 1 > MOST_NAME) return bad
  return { kind: 'read', value: { version: 4, command, host, port }, used: nameEnd + 1 }
}

/** What a request is answered with; `bound` is where the connection comes from, or where datagrams are to be sent. */
export function requestReply(version: 4 | 5, reply: Reply, bound?: { address: IpAddress; port: number }): Uint8Array {
  // SOCKS4: 90 is granted, 91 rejected or failed.
  if (version === 4) return Uint8Array.of(0, reply === REPLY.succeeded ? 90 : 91, 0, 0, 0, 0, 0, 0)
  const { bytes } = bound?.address ?? { bytes: new Uint8Array(4) }
  const port = bound?.port ?? 0
  return Uint8Array.of(VERSION5, reply, 0, bytes.length === 4 ? ATYP.ipv4 : ATYP.ipv6, ...bytes, port >> 8, port & 255)
}

export interface SocksDatagram {
  host: string
  port: number
  payload: Uint8Array
}

/** RFC 1928 7. Undefined for what is malformed, and for fragments, which nobody sends. The payload is a view. */
export function readDatagram(b: Uint8Array): SocksDatagram | undefined {
  if (b.length < 4 || b[0] !== 0 || b[1] !== 0 || b[2] !== 0) return undefined
  const target = readTarget(b, 3)
  return target.kind === 'read' ? { ...target.value, payload: b.subarray(target.used) } : undefined
}

/** The head of a datagram that came from `address` and `port`. */
export function datagramHead(address: IpAddress, port: number): Uint8Array {
  const { bytes } = address
  return Uint8Array.of(0, 0, 0, bytes.length === 4 ? ATYP.ipv4 : ATYP.ipv6, ...bytes, port >> 8, port & 255)
}

/** Address type, address and port at `offset`. */
function readTarget(b: Uint8Array, offset: number): Read<{ host: string; port: number }> {
  if (b.length < offset + 2) return more
  const type = b[offset]
  const start = type === ATYP.name ? offset + 2 : offset + 1
  const length = type === ATYP.ipv4 ? 4 : type === ATYP.ipv6 ? 16 : type === ATYP.name ? b[offset + 1] : -1
  if (length < 0) return { kind: 'bad', reply: REPLY.addressUnknown }
  const end = start + length
  if (b.length < end + 2) return more
  const bytes = b.slice(start, end)
  const host = type === ATYP.name ? hostName(bytes) : new IpAddress(bytes).toString()
  if (host === undefined) return { kind: 'bad', reply: REPLY.failure }
  return { kind: 'read', value: { host, port: (b[end] << 8) | b[end + 1] }, used: end + 2 }
}

/** Printable ASCII without blanks, or nothing. */
function hostName(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes).toString('latin1')
  return /^[\x21-\x7e]+$/.test(text) ? text : undefined
}
