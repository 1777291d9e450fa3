// Writing and reshaping DNS messages over bytes: queries of our own, answers of our own, an answer for a full name
// turned into one for the short name that was asked, and an answer cut to what the client can take. Records are never
// taken apart, so what kt does not understand passes unharmed.
import {
  type AnswerScan,
  CLASS_IN,
  FLAG_CD,
  FLAG_QR,
  FLAG_RA,
  FLAG_RD,
  FLAG_TC,
  HEADER_LEN,
  putU16,
  putU32,
  skipName,
  TYPE,
  u16,
} from './message.ts'

/** What we offer upstream and to clients: fits any path without fragments (DNS flag day 2020; RFC 9715 3.1 R3). */
export const OUR_UDP_SIZE = 1232
/** Octets of an OPT record without options, RFC 6891 6.1.2. */
export const OPT_LEN = 11

/** A question on the wire: the name, and behind it type and class IN. */
export function questionWire(name: Uint8Array, type: number): Uint8Array {
  const question = new Uint8Array(name.length + 4)
  question.set(name)
  putU16(question, name.length, type)
  putU16(question, name.length + 2, CLASS_IN)
  return question
}

/** A query with id 0 and recursion desired; with an OPT record unless `edns` is false. */
export function buildQuery(
  question: Uint8Array,
  { edns = true, dnssecOk = false, checkingDisabled = false } = {},
): Uint8Array {
  const message = new Uint8Array(HEADER_LEN + question.length + (edns ? OPT_LEN : 0))
  message[2] = FLAG_RD
  message[3] = checkingDisabled ? FLAG_CD : 0
  message[5] = 1
  message.set(question, HEADER_LEN)
  if (edns) {
    message[11] = 1
    writeOpt(message, HEADER_LEN + question.length, 0, dnssecOk, undefined)
  }
  return message
}

/** Extended DNS error, RFC 8914: its INFO-CODE and a sentence. */
export interface ExtendedError {
  code: number
  text: string
}
// RFC 8914 4.
export const EDE = {
  STALE_ANSWER: 3,
  STALE_NXDOMAIN: 19,
  NO_REACHABLE_AUTHORITY: 22,
  NETWORK_ERROR: 23,
  INVALID_DATA: 24,
}

/** Writes an OPT record at `offset`, which must have room; returns the offset behind it. `rcodeHigh`: RFC 6891 6.1.3. */
export function writeOpt(
  b: Uint8Array,
  offset: number,
  rcodeHigh: number,
  dnssecOk: boolean,
  error: ExtendedError | undefined,
): number {
  const text = error ? Buffer.from(error.text) : undefined
  b[offset] = 0 // the root
  putU16(b, offset + 1, TYPE.OPT)
  putU16(b, offset + 3, OUR_UDP_SIZE)
  b[offset + 5] = rcodeHigh
  b[offset + 6] = 0 // EDNS version
  b[offset + 7] = dnssecOk ? 0x80 : 0
  b[offset + 8] = 0
  putU16(b, offset + 9, text ? 6 + text.length : 0)
  offset += OPT_LEN
  if (error && text) {
    putU16(b, offset, 15) // RFC 8914 2
    putU16(b, offset + 2, 2 + text.length)
    putU16(b, offset + 4, error.code)
    b.set(text, offset + 6)
    offset += 6 + text.length
  }
  return offset
}

/**
 * An answer of our own without an OPT record, id 0: `rdata` are the answer section's records of the question's type.
 */
export function buildAnswer(question: Uint8Array, rcode: number, rdata: Uint8Array[] = [], ttl = 0): Uint8Array {
  const message = new Uint8Array(rdata.reduce((sum, data) => sum + 12 + data.length, HEADER_LEN + question.length))
  message[2] = FLAG_QR | FLAG_RD
  message[3] = FLAG_RA | rcode
  message[5] = 1
  message[7] = rdata.length
  message.set(question, HEADER_LEN)
  let offset = HEADER_LEN + question.length
  for (const data of rdata) {
    putU16(message, offset, 0xc000 | HEADER_LEN) // the question's name
    message.set(question.subarray(question.length - 4), offset + 2)
    putU32(message, offset + 6, ttl)
    putU16(message, offset + 10, data.length)
    message.set(data, offset + 12)
    offset += 12 + data.length
  }
  return message
}

/**
 * The answer without its OPT record, which is between us and the upstream: a view of it, the count in it changed. Additional
 * records behind it go too (RFC 6891 lets OPT stand anywhere; in practice it is the last): taking them along would move what
 * pointers point to.
 */
export function withoutOpt(answer: Uint8Array, scan: AnswerScan): Uint8Array {
  const cut = answer.subarray(0, scan.opt ? scan.opt.offset : scan.end)
  if (scan.opt) putU16(cut, 10, scan.opt.before)
  return cut
}

// Types whose RDATA holds names that may be compressed (RFC 3597 4, and those older servers compress): octets before
// the first name, and names.
const NAMES_IN_RDATA = new Map<number, readonly [skip: number, names: number]>([
  [2, [0, 1]], // NS
  [3, [0, 1]], // MD
  [4, [0, 1]], // MF
  [5, [0, 1]], // CNAME
  [6, [0, 2]], // SOA
  [7, [0, 1]], // MB
  [8, [0, 1]], // MG
  [9, [0, 1]], // MR
  [12, [0, 1]], // PTR
  [14, [0, 2]], // MINFO
  [15, [2, 1]], // MX
  [17, [0, 2]], // RP
  [18, [2, 1]], // AFSDB
  [21, [2, 1]], // RT
  [33, [6, 1]], // SRV
  [36, [2, 1]], // KX
  [39, [0, 1]], // DNAME
])

/**
 * The answer to a full name as the answer to the name the client asked: question `asked`, then a CNAME record from it to
 * the full name, then everything as it was. The CNAME's target takes the place of the old question's name, so every
 * compression pointer moves by one of two constants. `answer` has no OPT record and one question, of `fullLength` octets
 * with type and class. Undefined if it is malformed or a pointer would leave its 14 bits.
 */
export function withCname(
  answer: Uint8Array,
  fullLength: number,
  asked: Uint8Array,
  ttl: number,
): Uint8Array | undefined {
  const full = fullLength - 4 // the name alone
  const short = asked.length - 4
  const oldRecords = HEADER_LEN + fullLength
  const target = HEADER_LEN + asked.length + 12 // where the CNAME's RDATA starts
  const shift = target + full - oldRecords
  const result = new Uint8Array(answer.length + shift)
  result.set(answer.subarray(0, HEADER_LEN))
  putU16(result, 6, u16(answer, 6) + 1)
  result.set(asked, HEADER_LEN)
  const cname = HEADER_LEN + asked.length
  putU16(result, cname, 0xc000 | HEADER_LEN)
  putU16(result, cname + 2, TYPE.CNAME)
  result.set(asked.subarray(short + 2), cname + 4)
  putU32(result, cname + 6, ttl)
  putU16(result, cname + 10, full)
  result.set(answer.subarray(HEADER_LEN, HEADER_LEN + full), target)
  result.set(answer.subarray(oldRecords), target + full)

  const end = result.length
  // Moves the pointer that ends the name at `at`, if one does; the offset behind the name, or -1.
  const move = (at: number): number => {
    const next = skipName(result, at, end)
    if (next < 0) return -1
    while (result[at] !== 0 && result[at] < 0xc0) at += result[at] + 1
    if (result[at] === 0) return next
    const old = ((result[at] & 0x3f) << 8) | result[at + 1]
    let to = -1
    if (old >= HEADER_LEN && old < HEADER_LEN + full) to = old - HEADER_LEN + target
    else if (old >= oldRecords) to = old + shift
    if (to < 0 || to > 0x3fff) return -1
    putU16(result, at, 0xc000 | to)
    return next
  }
  let offset = target + full
  const records = u16(answer, 6) + u16(answer, 8) + u16(answer, 10)
  for (let i = 0; i < records; i++) {
    offset = move(offset)
    if (offset < 0 || offset + 10 > end) return undefined
    const next = offset + 10 + u16(result, offset + 8)
    if (next > end) return undefined
    const layout = NAMES_IN_RDATA.get(u16(result, offset))
    let inside = offset + 10 + (layout?.[0] ?? 0)
    for (let n = 0; n < (layout?.[1] ?? 0); n++) {
      inside = inside < next ? move(inside) : -1
      if (inside < 0 || inside > next) return undefined
    }
    offset = next
  }
  return offset === end ? result : undefined
}

/**
 * How much of an answer (no OPT, one question) fits into `room` octets: whole records from the front, with the counts
 * adjusted in place, and TC only if something but additional records had to go (RFC 2181 9). Returns the new length.
 */
export function truncate(b: Uint8Array, length: number, room: number): number {
  let offset = skipName(b, HEADER_LEN, length) + 4
  const counts = [u16(b, 6), u16(b, 8), u16(b, 10)]
  for (let section = 0; section < 3; section++) {
    for (let i = 0; i < counts[section]; i++) {
      const fixed = skipName(b, offset, length)
      const next = fixed < 0 ? length + 1 : fixed + 10 + u16(b, fixed + 8)
      if (next > room || next > length) {
        if (section < 2) b[2] |= FLAG_TC
        putU16(b, 6 + 2 * section, i)
        for (let rest = section + 1; rest < 3; rest++) putU16(b, 6 + 2 * rest, 0)
        return offset
      }
      offset = next
    }
  }
  return offset
}
