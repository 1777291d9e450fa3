// D-Bus messages as bytes (D-Bus specification 0.43, "Marshaling" and "Message Format"), as much of it as calls to
// systemd-resolved take. Little-endian out; either order in.

import { readFirst } from './read.ts'
import { alignment, splitSignature, type Value } from './signature.ts'

const METHOD_CALL = 1
export const METHOD_RETURN = 2
export const ERROR = 3

export interface Call {
  destination: string
  path: string
  interface: string
  member: string
  signature?: string
  arguments?: readonly Value[]
  /** Let the bus start the service if it does not run. */
  autoStart?: boolean
}

export interface Incoming {
  type: number
  replySerial: number | undefined
  errorName: string | undefined
  /** The first argument; of a variant, the value inside it. Undefined if there is none. */
  value: Value | undefined
}

const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 }
const NO_AUTO_START = 2

class Writer {
  readonly #bytes: number[] = []

  pad(to: number): void {
    while (this.#bytes.length % to !== 0) this.#bytes.push(0)
  }

  uint32(value: number): void {
    this.pad(4)
    this.#bytes.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24)
  }

  write(type: string, value: Value): void {
    this.pad(alignment(type))
    if (type === 'y') this.#bytes.push(value as number)
    else if (type === 'b') this.uint32(value ? 1 : 0)
    else if (type === 'i' || type === 'u') this.uint32((value as number) >>> 0)
    else if (type === 's' || type === 'o') {
      const text = Buffer.from(value as string)
      this.uint32(text.length)
      this.#bytes.push(...text, 0)
    } else if (type === 'g') {
      const text = Buffer.from(value as string)
      this.#bytes.push(text.length, ...text, 0)
    } else if (type[0] === 'a') this.#array(type.slice(1), value as readonly Value[])
    else
      for (const [i, member] of splitSignature(type.slice(1, -1)).entries())
        this.write(member, (value as readonly Value[])[i])
  }

  #array(element: string, values: Iterable<Value>): void {
    this.uint32(0)
    const lengthAt = this.#bytes.length - 4
    this.pad(alignment(element)) // not part of the length
    const start = this.#bytes.length
    for (const value of values) this.write(element, value)
    const length = this.#bytes.length - start
    for (let i = 0; i < 4; i++) this.#bytes[lengthAt + i] = (length >>> (8 * i)) & 255
  }

  variant(type: string, value: Value): void {
    this.write('g', type)
    this.write(type, value)
  }

  byte(value: number): void {
    this.#bytes.push(value)
  }

  get length(): number {
    return this.#bytes.length
  }

  bytes(): Buffer {
    return Buffer.from(this.#bytes)
  }
}

/** A method call as it goes on the wire. */
export function encodeCall(serial: number, call: Call): Buffer {
  const body = new Writer()
  splitSignature(call.signature ?? '').forEach((type, i) => {
    body.write(type, call.arguments![i])
  })
  const fields: [number, string, Value][] = [
    [FIELD.path, 'o', call.path],
    [FIELD.interface, 's', call.interface],
    [FIELD.member, 's', call.member],
    [FIELD.destination, 's', call.destination],
  ]
  if (call.signature) fields.push([FIELD.signature, 'g', call.signature])
  const inner = new Writer()
  for (const [code, type, value] of fields) {
    inner.pad(8)
    inner.byte(code)
    inner.variant(type, value)
  }
  const header = new Writer()
  header.byte('l'.charCodeAt(0))
  header.byte(METHOD_CALL)
  header.byte(call.autoStart ? 0 : NO_AUTO_START)
  header.byte(1) // protocol version
  header.uint32(body.length)
  header.uint32(serial)
  header.uint32(inner.length)
  // The fields start at offset 16, a multiple of 8: their own padding holds.
  const start = Buffer.concat([header.bytes(), inner.bytes()])
  return Buffer.concat([start, Buffer.alloc((8 - (start.length % 8)) % 8), body.bytes()])
}

// "The maximum length of a message ... is 134217728": far more than resolved ever says to us.
const LONGEST = 1 << 20

/** Takes one message off the front of `buffer`: what it is and how long, undefined while it is incomplete. Throws RangeError. */
export function decode(buffer: Buffer): { message: Incoming; size: number } | undefined {
  if (buffer.length < 16) return undefined
  const little = buffer[0] === 'l'.charCodeAt(0)
  const uint32 = (at: number) => (little ? buffer.readUInt32LE(at) : buffer.readUInt32BE(at))
  const bodyLength = uint32(4)
  const fieldsLength = uint32(12)
  const bodyAt = align(16 + fieldsLength, 8)
  const size = bodyAt + bodyLength
  if (size > LONGEST) throw new RangeError('a D-Bus message is longer than any expected')
  if (buffer.length < size) return undefined
  const message: Incoming = { type: buffer[1], replySerial: undefined, errorName: undefined, value: undefined }
  const string = (at: number) => buffer.toString('utf8', at + 4, at + 4 + uint32(at))
  let bodySignature = ''
  for (let at = 16; at < 16 + fieldsLength; ) {
    at = align(at, 8)
    const code = buffer[at]
    const signatureLength = buffer[at + 1]
    const type = buffer.toString('latin1', at + 2, at + 2 + signatureLength)
    at += 3 + signatureLength
    if (type === 'g') {
      const length = buffer[at]
      if (code === FIELD.signature) bodySignature = buffer.toString('latin1', at + 1, at + 1 + length)
      at += length + 2
    } else {
      at = align(at, 4)
      if (type === 'u') {
        if (code === FIELD.replySerial) message.replySerial = uint32(at)
        at += 4
      } else if (type === 's' || type === 'o') {
        if (code === FIELD.errorName) message.errorName = string(at)
        at += 5 + uint32(at)
      } else throw new RangeError(`a header field of D-Bus type ${type}`)
    }
  }
  message.value = readFirst(bodySignature, buffer.subarray(bodyAt, size), little)
  return { message, size }
}

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to
}
