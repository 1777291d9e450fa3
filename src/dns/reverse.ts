// Reverse names (PTR): from a range to the zones below in-addr.arpa and ip6.arpa that cover it, and from a name back to
// the addresses it stands for.
import type { IpAddress } from '../wire/address.ts'
import type { Prefix } from '../wire/prefix.ts'

/** The name of an address below in-addr.arpa or ip6.arpa (RFC 1035 3.5, RFC 3596 2.5). */
export function reverseName({ family, bytes }: IpAddress): string {
  if (family === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`
  return `${[...Buffer.from(bytes).toString('hex')].reverse().join('.')}.ip6.arpa`
}

/**
 * The addresses a name below in-addr.arpa or ip6.arpa stands for or belongs to (RFC 1035 3.5, RFC 3596 2.5): what is in
 * front of the numbers (service discovery, RFC 6763 11) does not matter. Undefined if there are no numbers.
 */
export function reversePrefix(name: string): Prefix | undefined {
  const v4 = name.endsWith('.in-addr.arpa')
  if (!v4 && !name.endsWith('.ip6.arpa')) return undefined
  const parts = name.split('.').slice(0, -2).reverse()
  const isNumber = v4
    ? (part: string) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256
    : (part: string) => /^[0-9a-f]$/.test(part)
  const found = parts.findIndex((part) => !isNumber(part))
  const count = Math.min(found < 0 ? parts.length : found, v4 ? 4 : 32)
  if (count === 0) return undefined
  const bytes = new Uint8Array(v4 ? 4 : 16)
  for (let i = 0; i < count; i++) {
    if (v4) bytes[i] = Number(parts[i])
    else bytes[i >> 1] |= Number.parseInt(parts[i], 16) << (i & 1 ? 0 : 4)
  }
  return { family: v4 ? 4 : 6, bytes, length: count * (v4 ? 8 : 4) }
}

/**
 * The zones that together cover a range exactly, at octet or nibble borders; one that ends between two borders gives
 * several zones (10.96.0.0/12: 96.10.in-addr.arpa to 111.10.in-addr.arpa). One longer than 24 bits gives its /24, and
 * one longer than 124 its /124, since there are no zones for less.
 */
export function reverseZones({ bytes, length: bits }: Prefix): string[] {
  const step = bytes.length === 4 ? 8 : 4
  const suffix = bytes.length === 4 ? 'in-addr.arpa' : 'ip6.arpa'
  const labels = Math.min(Math.ceil(bits / step), (bytes.length * 8) / step - 1)
  if (labels === 0) return [suffix]
  const values = Array.from({ length: labels }, (_, i) =>
    step === 8 ? bytes[i] : (bytes[i >> 1] >> (i & 1 ? 0 : 4)) & 15,
  )
  const free = Math.max(0, labels * step - bits)
  const first = values[labels - 1] & ~((1 << free) - 1)
  return Array.from({ length: 1 << free }, (_, i) => {
    const zone = [...values.slice(0, -1), first + i].reverse()
    return `${zone.map((value) => value.toString(step === 8 ? 10 : 16)).join('.')}.${suffix}`
  })
}

/**
 * At most `most` zones in place of many: those with most of them below one wider zone are replaced by that, so that all
 * stay covered. A range with a hole (the API server's address, say) gives hundreds, and the wider zone is one. What still
 * does not fit, since it has nothing in common, is left out.
 */
export function fewerZones(zones: readonly string[], most: number): string[] {
  let left = [...new Set(zones)]
  while (left.length > most) {
    const below = new Map<string, number>()
    for (const zone of left) {
      const parent = zone.slice(zone.indexOf('.') + 1)
      // Never all reverse names there are.
      if (/^[0-9a-f]+\./.test(parent)) below.set(parent, (below.get(parent) ?? 0) + 1)
    }
    const [widest] = [...below].sort(([a, n], [b, m]) => m - n || b.length - a.length)
    if (!widest) return left.slice(0, most)
    const [parent] = widest
    left = [...left.filter((zone) => zone !== parent && !zone.endsWith(`.${parent}`)), parent]
  }
  return left
}
