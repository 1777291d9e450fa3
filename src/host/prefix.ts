// CIDR comparison on bytes: thousands of wanted routes are held against the machine's table, and ip-num's ranges take
// 50 us for each pair.
import { type Family, IpAddress } from '../wire/address.ts'

export interface Prefix {
  readonly family: Family
  readonly bytes: Uint8Array
  readonly length: number
}

/** Reads an address or CIDR as iproute2 prints it (`default` is not one). Throws RangeError. */
export function parsePrefix(text: string): Prefix {
  const [address, length] = text.split('/')
  const { family, bytes } = IpAddress.parse(address)
  const most = family === 4 ? 32 : 128
  const bits = length === undefined ? most : Number(length)
  if (!Number.isInteger(bits) || bits < 0 || bits > most) throw new RangeError(`not a CIDR: ${text}`)
  return { family, bytes, length: bits }
}

/** True if every address of `inner` is in `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false
  const whole = outer.length >> 3
  for (let i = 0; i < whole; i++) if (outer.bytes[i] !== inner.bytes[i]) return false
  const rest = outer.length & 7
  return rest === 0 || (outer.bytes[whole] ^ inner.bytes[whole]) >> (8 - rest) === 0
}

/** The network of an address with a prefix length: `10.1.2.3/8` becomes `10.0.0.0/8`. */
export function network(text: string): string {
  const { bytes, length } = parsePrefix(text)
  const masked = bytes.map((byte, i) => {
    const bits = Math.min(8, Math.max(0, length - 8 * i))
    return byte & (0xff00 >> bits)
  })
  return `${new IpAddress(masked)}/${length}`
}

/** An address inside the range, not its first if there is a second: what `ip route get` is asked for. */
export function sample(cidr: string): string {
  const { bytes, length } = parsePrefix(network(cidr))
  const address = bytes.slice()
  if (length < 8 * bytes.length) address[address.length - 1] |= 1
  return new IpAddress(address).toString()
}
