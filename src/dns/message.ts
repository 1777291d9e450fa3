// Reading DNS messages by hand, over bytes: what every query and every answer needs (question, EDNS, where the TTLs are)
// without an object a record. Nothing here trusts a length or follows a compression pointer, so hostile input can
// neither loop nor read outside the message. What has to be understood beyond that is dns2's (records.ts).

/** RFC 1035 4.1.1. */
export const HEADER_LEN = 12
/** RFC 1035 2.3.4: a name on the wire, the root's zero octet included. */
export const MAX_NAME = 255

// RFC 1035 4.1.1 and RFC 4035 3.2: the two flag octets of the header.
export const FLAG_QR = 0x80 // octet 2
export const FLAG_AA = 0x04 // octet 2
export const FLAG_TC = 0x02 // octet 2
export const FLAG_RD = 0x01 // octet 2
export const FLAG_RA = 0x80 // octet 3
export const FLAG_AD = 0x20 // octet 3
export const FLAG_CD = 0x10 // octet 3

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  AAAA: 28,
  OPT: 41,
  DS: 43,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  IXFR: 251,
  AXFR: 252,
} as const
export const CLASS_IN = 1

export const u16 = (b: Uint8Array, o: number): number => (b[o] << 8) | b[o + 1]
export const u32 = (b: Uint8Array, o: number): number =>
  ((b[o] << 24) | (b[o + 1] << 16) | (b[o + 2] << 8) | b[o + 3]) >>> 0

export function putU16(b: Uint8Array, o: number, value: number): void {
  b[o] = value >>> 8
  b[o + 1] = value
}

export function putU32(b: Uint8Array, o: number, value: number): void {
  b[o] = value >>> 24
  b[o + 1] = value >>> 16
  b[o + 2] = value >>> 8
  b[o + 3] = value
}

/** The offset behind the name at `offset`, a final pointer included but not followed; -1 if it is malformed. */
export function skipName(b: Uint8Array, offset: number, end: number): number {
  const first = offset
  while (offset < end) {
    const length = b[offset]
    if (length === 0) return offset + 1
    if (length >= 0xc0) return offset + 2 <= end ? offset + 2 : -1
    if (length > 63) return -1
    offset += length + 1
    if (offset - first >= MAX_NAME) return -1
  }
  return -1
}

/** A query as read, reused from one to the next. Offsets are into the buffer it was read from. */
export interface QueryView {
  id: number
  /** Octets 2 and 3 of the header. */
  flags2: number
  flags3: number
  opcode: number
  /** Where the question's name starts, and where the question (type and class included) ends. */
  nameStart: number
  questionEnd: number
  type: number
  class: number
  /** Whether the query has an OPT record, the UDP payload size it offers, its DO bit and EDNS version. */
  edns: boolean
  udpSize: number
  dnssecOk: boolean
  version: number
}

export const newQueryView = (): QueryView => ({
  id: 0,
  flags2: 0,
  flags3: 0,
  opcode: 0,
  nameStart: 0,
  questionEnd: 0,
  type: 0,
  class: 0,
  edns: false,
  udpSize: 512,
  dnssecOk: false,
  version: 0,
})

/**
 * Reads a query into `view`. Returns 'ok'; 'drop' for what cannot or must not be answered (no header, an answer);
 * 'formerr' when only the header can be believed.
 */
export function readQuery(b: Uint8Array, start: number, end: number, view: QueryView): 'ok' | 'drop' | 'formerr' {
  if (end - start < HEADER_LEN || b[start + 2] & FLAG_QR) return 'drop'
  view.id = u16(b, start)
  view.flags2 = b[start + 2]
  view.flags3 = b[start + 3]
  view.opcode = (b[start + 2] >> 3) & 15
  view.edns = false
  view.udpSize = 512 // RFC 1035 4.2.1
  view.dnssecOk = false
  view.version = 0
  view.questionEnd = view.nameStart = start + HEADER_LEN
  if (view.opcode !== 0) return 'ok' // its body has another format; the caller answers NOTIMP
  if (u16(b, start + 4) !== 1) return 'formerr'
  let offset = view.nameStart
  let length = 0
  while (offset < end && (length = b[offset]) !== 0) {
    if (length > 63) return 'formerr' // a pointer in the only name there is could point to nothing but the header
    offset += length + 1
  }
  if (offset + 5 > end || offset + 1 - view.nameStart > MAX_NAME) return 'formerr'
  view.type = u16(b, offset + 1)
  view.class = u16(b, offset + 3)
  view.questionEnd = offset += 5
  const records = u16(b, start + 6) + u16(b, start + 8) + u16(b, start + 10)
  for (let i = 0; i < records; i++) {
    offset = skipName(b, offset, end)
    if (offset < 0 || offset + 10 > end) return 'formerr'
    const next = offset + 10 + u16(b, offset + 8)
    if (next > end) return 'formerr'
    if (u16(b, offset) === TYPE.OPT) {
      if (view.edns) return 'formerr' // RFC 6891 6.1.1: one at most
      view.edns = true
      view.udpSize = u16(b, offset + 2)
      view.version = b[offset + 5]
      view.dnssecOk = (b[offset + 6] & 0x80) !== 0
    }
    offset = next
  }
  return 'ok'
}

/** What is needed of an answer to keep it and hand it on. */
export interface AnswerScan {
  /** With the OPT record's upper bits, RFC 6891 6.1.3. */
  rcode: number
  truncated: boolean
  /** Where the question ends: HEADER_LEN + name + 4. */
  questionEnd: number
  /** Records in the answer section. */
  answers: number
  /** Of every record but OPT: where its TTL is. */
  ttlOffsets: number[]
  /** The smallest TTL of the answer section, seconds; undefined when it is empty. */
  minTtl: number | undefined
  /** RFC 2308 5: the smaller of the SOA's TTL and its MINIMUM; undefined without a SOA in the authority section. */
  negativeTtl: number | undefined
  /** Where the OPT record starts and how many additional records stand before it; undefined without one. */
  opt: { offset: number; before: number } | undefined
  /** Where the last record ends. */
  end: number
}

/** Walks an answer that has exactly one question. Undefined if it is malformed. */
export function scanAnswer(b: Uint8Array): AnswerScan | undefined {
  if (b.length < HEADER_LEN || !(b[2] & FLAG_QR) || u16(b, 4) !== 1) return undefined
  let offset = skipName(b, HEADER_LEN, b.length)
  if (offset < 0 || offset + 4 > b.length) return undefined
  offset += 4
  const counts = [u16(b, 6), u16(b, 8), u16(b, 10)]
  const scan: AnswerScan = {
    rcode: b[3] & 15,
    truncated: (b[2] & FLAG_TC) !== 0,
    questionEnd: offset,
    answers: counts[0],
    ttlOffsets: [],
    minTtl: undefined,
    negativeTtl: undefined,
    opt: undefined,
    end: offset,
  }
  for (let section = 0; section < 3; section++) {
    for (let i = 0; i < counts[section]; i++) {
      const first = offset
      offset = skipName(b, offset, b.length)
      if (offset < 0 || offset + 10 > b.length) return undefined
      const type = u16(b, offset)
      const ttl = readTtl(b, offset + 4)
      const next = offset + 10 + u16(b, offset + 8)
      if (next > b.length) return undefined
      if (type === TYPE.OPT) {
        if (section !== 2 || scan.opt) return undefined
        scan.opt = { offset: first, before: i }
        scan.rcode |= b[offset + 4] << 4
      } else {
        scan.ttlOffsets.push(offset + 4)
        if (section === 0) scan.minTtl = Math.min(scan.minTtl ?? ttl, ttl)
        if (section === 1 && type === TYPE.SOA && next - offset - 10 >= 22)
          scan.negativeTtl = Math.min(ttl, readTtl(b, next - 4))
      }
      offset = next
    }
  }
  scan.end = offset
  return scan
}

/** A TTL in seconds. RFC 2181 8: with the top bit set it counts as zero. */
export function readTtl(b: Uint8Array, offset: number): number {
  return b[offset] & 0x80 ? 0 : u32(b, offset)
}

/**
 * Whether the uncompressed question at `b[bStart]` is the one in `a[aStart ..]` of `length` octets: the name whatever
 * its case (RFC 4343), type and class exactly.
 */
export function sameQuestion(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  if (aStart + length > a.length || bStart + length > b.length) return false
  const name = length - 4
  for (let i = 0; i < name; i++) if (LOWER[a[aStart + i]] !== LOWER[b[bStart + i]]) return false
  for (let i = name; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false
  return true
}

/** ASCII lower case, octet by octet. Good for a whole name on the wire: a length octet is below 64, so no letter. */
export const LOWER: Uint8Array = Uint8Array.from({ length: 256 }, (_, c) => (c >= 65 && c <= 90 ? c + 32 : c))

const TEXT = Buffer.allocUnsafeSlow(MAX_NAME)
const PLAIN = Uint8Array.from({ length: 256 }, (_, c) => (/[-\w]/.test(String.fromCharCode(c)) ? 1 : 0))

/**
 * An uncompressed name as lower-case text without a final dot; '' is the root. Octets that are not printable, and dots
 * inside a label, come as \DDD (RFC 1035 5.1), so no two names share a text.
 */
export function nameText(b: Uint8Array, offset = 0): string {
  // Nearly all names are letters, digits, - and _: made in one piece, not character by character.
  let to = 0
  let plain = true
  for (let at = offset, length = b[at]; plain && length !== 0; length = b[at]) {
    const end = at + length + 1
    plain = end - offset < MAX_NAME
    if (to > 0) TEXT[to++] = 46
    while (plain && ++at < end) {
      plain = PLAIN[b[at]] === 1
      TEXT[to++] = LOWER[b[at]]
    }
  }
  if (plain) return TEXT.toString('latin1', 0, to)
  let text = ''
  for (let length = b[offset]; length !== 0; length = b[offset]) {
    if (text !== '') text += '.'
    for (let i = offset + 1; i <= offset + length; i++) {
      const c = LOWER[b[i]]
      text += c > 32 && c < 127 && c !== 46 && c !== 92 ? String.fromCharCode(c) : `\\${String(c).padStart(3, '0')}`
    }
    offset += length + 1
  }
  return text
}

/** The wire form of a name in text (a final dot and \DDD are understood); undefined if it is none. */
export function nameWire(text: string): Uint8Array | undefined {
  if (text.endsWith('.') && !text.endsWith('\\.')) text = text.slice(0, -1)
  const bytes: number[] = []
  for (const label of text === '' ? [] : text.split('.')) {
    const at = bytes.push(0) - 1
    for (let i = 0; i < label.length; i++) {
      if (label[i] === '\\') {
        const code = Number(/^\d{3}/.exec(label.slice(i + 1))?.[0] ?? 256)
        if (code > 255) return undefined
        bytes.push(code)
        i += 3
      } else {
        const code = label.charCodeAt(i)
        if (code > 126 || code <= 32) return undefined
        bytes.push(code)
      }
    }
    bytes[at] = bytes.length - at - 1
    if (bytes[at] === 0 || bytes[at] > 63) return undefined
  }
  bytes.push(0)
  return bytes.length > MAX_NAME ? undefined : Uint8Array.from(bytes)
}
