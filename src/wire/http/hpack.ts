// Reads HTTP/2's compressed headers (RFC 7541). It is told every header block of one direction of one connection, in
// order, since each may refer to those before it. What it holds is bounded.
import { huffmanText } from './huffman.ts'

export type HeaderField = readonly [name: string, value: string]

/** Larger dynamic tables than this are not followed; common servers and clients stay at 4,096. */
const MAX_TABLE = 64 * 1024
/** RFC 9113 6.5.2: the size before anybody says otherwise. */
const INITIAL_TABLE = 4096
const MAX_STRING = 64 * 1024
/** Of one block. Short references can stand for long headers. */
const MAX_LIST = 256 * 1024
/** RFC 7541 4.1: what an entry counts in addition to its text. */
const ENTRY_OVERHEAD = 32

// RFC 7541 appendix A, index 1 on.
const STATIC: readonly HeaderField[] = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`
  .split('\n')
  .map((line) => {
    const space = line.indexOf(' ')
    return space < 0 ? ([line, ''] as const) : ([line.slice(0, space), line.slice(space + 1)] as const)
  })

export class HpackReader {
  /** Newest first. */
  readonly #table: HeaderField[] = []
  #size = 0
  #limit = INITIAL_TABLE

  /** The headers of one whole block, latin1. Throws RangeError; nothing can be read after that. */
  read(block: Uint8Array): HeaderField[] {
    const input = new Input(block)
    const fields: HeaderField[] = []
    let size = 0
    while (!input.done) {
      const field = this.#next(input)
      if (!field) continue
      size += sizeOf(field)
      if (size > MAX_LIST) throw new RangeError('headers that are too long')
      fields.push(field)
    }
    return fields
  }

  /** RFC 7541 6. Undefined for a change of the table's size. */
  #next(input: Input): HeaderField | undefined {
    const first = input.peek()
    if (first & 0x80) return this.#entry(input.integer(7))
    if (first & 0x40) {
      const field = this.#literal(input, 6)
      this.#add(field)
      return field
    }
    if (first & 0x20) {
      this.#limit = input.integer(5)
      if (this.#limit > MAX_TABLE) throw new RangeError('a header table that is too large')
      this.#shrink(0)
      return undefined
    }
    return this.#literal(input, 4)
  }

  #literal(input: Input, prefix: number): HeaderField {
    const index = input.integer(prefix)
    const name = index === 0 ? input.text() : this.#entry(index)[0]
    return [name, input.text()]
  }

  #entry(index: number): HeaderField {
    const field = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1]
    if (!field) throw new RangeError('a header that is not in the table')
    return field
  }

  #add(field: HeaderField): void {
    const size = sizeOf(field)
    this.#shrink(size)
    // RFC 7541 4.4: one that is larger than the table empties it.
    if (size > this.#limit) return
    this.#table.unshift(field)
    this.#size += size
  }

  #shrink(room: number): void {
    while (this.#table.length > 0 && this.#size + room > this.#limit) this.#size -= sizeOf(this.#table.pop()!)
  }
}

const sizeOf = ([name, value]: HeaderField): number => name.length + value.length + ENTRY_OVERHEAD

class Input {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  peek(): number {
    if (this.done) throw new RangeError('headers that end too soon')
    return this.#bytes[this.#at]
  }

  /** RFC 7541 5.1; of `prefix` bits, and more bytes where those are all ones. */
  integer(prefix: number): number {
    const most = (1 << prefix) - 1
    let value = this.#byte() & most
    if (value < most) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a number in headers that is too large')
  }

  /** RFC 7541 5.2 */
  text(): string {
    const compressed = (this.peek() & 0x80) !== 0
    const length = this.integer(7)
    if (length > MAX_STRING || length > this.#bytes.length - this.#at) throw new RangeError('a header that is too long')
    const bytes = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    if (compressed) return huffmanText(bytes, MAX_STRING)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  }

  #byte(): number {
    const byte = this.peek()
    this.#at++
    return byte
  }
}
