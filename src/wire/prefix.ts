// Prefixes: the first bits of an address, as in `10.244.0.0/16`. The one such type of kt, compared on bytes: thousands of
// wanted routes are held against the machine's table.
import { type Family, IpAddress } from './address.ts'

/** The addresses whose first `length` bits are those of `bytes`. The other bits of `bytes` may be anything. */
export interface Prefix {
  readonly family: Family
  /** 4 or 16, in network order. */
  readonly bytes: Uint8Array
  readonly length: number
}

/** Bits of an address. */
export const widthOf = (family: Family): number => (family === 4 ? 32 : 128)

/** Reads an address or a CIDR. Undefined for anything else. */
export function tryParsePrefix(text: string): Prefix | undefined {
  const [head, tail, more] = text.split('/')
  const address = IpAddress.tryParse(head)
  if (!address || more !== undefined) return undefined
  const { family, bytes } = address
  const width = widthOf(family)
  if (tail !== undefined && !/^\d{1,3}$/.test(tail)) return undefined
  const length = tail === undefined ? width : Number(tail)
  return length > width ? undefined : { family, bytes, length }
}

/** Reads an address or a CIDR. Throws RangeError on anything else. */
export function parsePrefix(text: string): Prefix {
  const prefix = tryParsePrefix(text)
  if (!prefix) throw new RangeError(`not an address or CIDR: ${JSON.stringify(text)}`)
  return prefix
}

/** True if every address of `inner` is in `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false
  const whole = outer.length >> 3
  for (let i = 0; i < whole; i++) if (outer.bytes[i] !== inner.bytes[i]) return false
  const rest = outer.length & 7
  return rest === 0 || (outer.bytes[whole] ^ inner.bytes[whole]) >> (8 - rest) === 0
}

/** `10.0.0.0/8`: the bits after the prefix cleared, RFC 5952 text. */
export function formatPrefix({ bytes, length }: Prefix): string {
  const masked = bytes.map((byte, i) => {
    const bits = Math.min(8, Math.max(0, length - 8 * i))
    return byte & (0xff00 >> bits)
  })
  return `${new IpAddress(masked)}/${length}`
}

/** The network of an address or CIDR: `10.1.2.3/8` becomes `10.0.0.0/8`, `10.1.2.3` becomes `10.1.2.3/32`. */
export function network(text: string): string {
  return formatPrefix(parsePrefix(text))
}

/** An address inside the range, not its first if there is a second: what `ip route get` is asked for. */
export function sample(cidr: string): string {
  const { bytes, length } = parsePrefix(network(cidr))
  const address = bytes.slice()
  if (length < 8 * bytes.length) address[address.length - 1] |= 1
  return new IpAddress(address).toString()
}
