// Reads values out of a D-Bus message's body (D-Bus specification 0.43, "Marshaling").
import { alignment, splitSignature, type Value } from './signature.ts'

/** Reads the first value of a body; of a variant, the value inside it. Throws RangeError if body and signature do not fit. */
export function readFirst(signature: string, body: Buffer, little: boolean): Value | undefined {
  const [type] = splitSignature(signature)
  return type === undefined ? undefined : new Reader(body, little).read(type)
}

class Reader {
  readonly #bytes: Buffer
  readonly #little: boolean
  #at = 0

  constructor(bytes: Buffer, little: boolean) {
    this.#bytes = bytes
    this.#little = little
  }

  read(type: string): Value {
    this.#pad(alignment(type))
    switch (type[0]) {
      case 'y':
        return this.#bytes.readUInt8(this.#at++)
      case 'b':
        return this.#uint32() !== 0
      case 'i':
        return this.#uint32() | 0
      case 'u':
        return this.#uint32()
      case 's':
      case 'o':
        return this.#text(this.#uint32())
      case 'g':
        return this.#text(this.#bytes.readUInt8(this.#at++))
      case 'v':
        return this.read(this.read('g') as string)
      case 'a':
        return this.#array(type.slice(1))
      default:
        return splitSignature(type.slice(1, -1)).map((member) => this.read(member))
    }
  }

  #array(element: string): Value {
    const length = this.#uint32()
    this.#pad(alignment(element)) // not part of the length
    const end = this.#at + length
    if (end > this.#bytes.length) throw new RangeError('a D-Bus array is longer than its message')
    const values: Value[] = []
    while (this.#at < end) values.push(this.read(element))
    return values
  }

  #text(length: number): string {
    const end = this.#at + length
    if (end >= this.#bytes.length) throw new RangeError('a D-Bus text is longer than its message')
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  #uint32(): number {
    const value = this.#little ? this.#bytes.readUInt32LE(this.#at) : this.#bytes.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  #pad(to: number): void {
    this.#at = Math.ceil(this.#at / to) * to
  }
}
