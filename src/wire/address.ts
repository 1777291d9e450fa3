// IP addresses as values. Made once a flow or a setting, never once a packet: the packet path compares bytes.

/** The kinds of address there are. */
export type Family = 4 | 6

/** An IPv4 or IPv6 address: 4 or 16 bytes in network order. Immutable by convention: nobody writes to `bytes`. */
export class IpAddress {
  readonly family: Family
  readonly bytes: Uint8Array
  #text: string | undefined

  constructor(bytes: Uint8Array) {
    if (bytes.length !== 4 && bytes.length !== 16)
      throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`)
    this.family = bytes.length === 4 ? 4 : 6
    this.bytes = bytes
  }

  /** Reads dotted-quad or RFC 4291 text (with `::` and an embedded IPv4 tail). Throws RangeError on anything else. */
  static parse(text: string): IpAddress {
    const address = IpAddress.tryParse(text)
    if (!address) throw new RangeError(`not an IP address: ${JSON.stringify(text)}`)
    return address
  }

  /** As `parse`, undefined instead of an error. */
  static tryParse(text: string): IpAddress | undefined {
    const bytes = text.includes(':') ? parse6(text) : parse4(text)
    return bytes && new IpAddress(bytes)
  }

  /** A copy of the 4 or 16 bytes at `offset` of a packet. */
  static from(buffer: Uint8Array, offset: number, family: Family): IpAddress {
    return new IpAddress(buffer.slice(offset, offset + (family === 4 ? 4 : 16)))
  }

  equals(other: IpAddress): boolean {
    if (this.family !== other.family) return false
    for (let i = 0; i < this.bytes.length; i++) if (this.bytes[i] !== other.bytes[i]) return false
    return true
  }

  /** Dotted quad, or RFC 5952 text. */
  toString(): string {
    this.#text ??= this.family === 4 ? this.bytes.join('.') : format6(this.bytes)
    return this.#text
  }
}

/** An address and a port. */
export interface Endpoint {
  readonly address: IpAddress
  readonly port: number
}

/** `10.0.0.1:80` or `[fd00::1]:80`. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return address.family === 4 ? `${address}:${port}` : `[${address}]:${port}`
}

function parse4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    if (!/^(0|[1-9]\d{0,2})$/.test(parts[i])) return undefined
    const value = Number(parts[i])
    if (value > 255) return undefined
    bytes[i] = value
  }
  return bytes
}

function parse6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = groups(halves[0])
  const tail = halves.length === 2 ? groups(halves[1]) : []
  if (!head || !tail) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const bytes = new Uint8Array(16)
  for (let i = 0; i < 8; i++) {
    bytes[2 * i] = all[i] >> 8
    bytes[2 * i + 1] = all[i] & 255
  }
  return bytes
}

function groups(text: string): number[] | undefined {
  if (text === '') return []
  const result: number[] = []
  const parts = text.split(':')
  for (let i = 0; i < parts.length; i++) {
    if (i === parts.length - 1 && parts[i].includes('.')) {
      const quad = parse4(parts[i])
      if (!quad) return undefined
      result.push((quad[0] << 8) | quad[1], (quad[2] << 8) | quad[3])
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(parts[i])) return undefined
      result.push(Number.parseInt(parts[i], 16))
    }
  }
  return result
}

// RFC 5952 4.2: the longest run of two or more zero groups becomes "::", the first of equals.
function format6(bytes: Uint8Array): string {
  const group = (i: number) => (bytes[2 * i] << 8) | bytes[2 * i + 1]
  let best = -1
  let bestLength = 1
  for (let i = 0; i < 8; ) {
    let end = i
    while (end < 8 && group(end) === 0) end++
    if (end - i > bestLength) {
      best = i
      bestLength = end - i
    }
    i = Math.max(end, i + 1)
  }
  let text = ''
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      text += '::'
      i += bestLength - 1
    } else {
      text += (text === '' || text.endsWith(':') ? '' : ':') + group(i).toString(16)
    }
  }
  return text
}
