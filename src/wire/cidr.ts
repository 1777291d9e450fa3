// Sets of addresses as CIDR text. The ranges that are routed into the TUN are computed here. It is exact and slow (ip-num
// works with bigints), so it is for settings and start-up, never for packets.
import { IPv4, IPv4CidrRange, IPv4Prefix, IPv6, IPv6CidrRange, IPv6Prefix } from 'ip-num'
import { type Family, IpAddress } from './address.ts'

type CidrRange = IPv4CidrRange | IPv6CidrRange

/** True for an address or a CIDR, of either family. */
export function isCidr(text: string): boolean {
  return tryParse(text) !== undefined
}

/** The family of an address or a CIDR. Throws RangeError on anything else. */
export function familyOf(cidr: string): Family {
  return parse(cidr) instanceof IPv4CidrRange ? 4 : 6
}

/** The prefix length of a CIDR; 32 or 128 of an address. */
export function prefixLength(cidr: string): number {
  return Number(parse(cidr).getPrefix().getValue())
}

/** Host bits cleared, RFC 5952 text, and a prefix length where there was none: `10.1.2.3/8` becomes `10.0.0.0/8`. */
export function normalize(cidr: string): string {
  return format(parse(cidr))
}

/** The CIDR of this prefix length around an address. */
export function around(address: string, length: number): string {
  const { family } = IpAddress.parse(address)
  if (length < 0 || length > (family === 4 ? 32 : 128)) throw new RangeError(`no prefix length: ${length}`)
  return normalize(`${address}/${length}`)
}

/** True if every address of `inner` (a CIDR or an address) is in `outer`. */
export function contains(outer: string, inner: string): boolean {
  return covers(parse(outer), parse(inner))
}

/** True if some address is in both. */
export function overlaps(a: string, b: string): boolean {
  const left = parse(a)
  const right = parse(b)
  return covers(left, right) || covers(right, left)
}

/** The same addresses in the fewest CIDRs: IPv4 first, then by address. */
export function merge(cidrs: readonly string[]): string[] {
  return mergeRanges(cidrs.map(parse)).map(format)
}

/** The addresses of `cidrs` that are in none of `holes`, in the fewest CIDRs. */
export function subtract(cidrs: readonly string[], holes: readonly string[]): string[] {
  let rest = cidrs.map(parse)
  for (const hole of holes.map(parse)) rest = rest.flatMap((range) => without(range, hole))
  return mergeRanges(rest).map(format)
}

/**
 * What is captured after `--include` and `--exclude`. Of the rules that match an address the one with the longest prefix
 * decides, `exclude` where two are equal; where no rule matches, the address is captured if it is in `ranges`.
 */
export function applyIncludeExclude(
  ranges: readonly string[],
  include: readonly string[],
  exclude: readonly string[],
): string[] {
  const rules = [
    ...include.map((cidr) => ({ cidr, captured: true, length: prefixLength(cidr) })),
    ...exclude.map((cidr) => ({ cidr, captured: false, length: prefixLength(cidr) })),
  ]
  // Two CIDRs are nested or apart, so painting the shorter prefix first leaves every address as the longest says.
  // The sort is stable: of equals the include is painted first.
  rules.sort((a, b) => a.length - b.length)
  let result = [...ranges]
  for (const { cidr, captured } of rules) result = captured ? [...result, cidr] : subtract(result, [cidr])
  return merge(result)
}

function tryParse(text: string): CidrRange | undefined {
  const [head, tail, more] = text.split('/')
  const address = IpAddress.tryParse(head)
  if (!address || more !== undefined) return undefined
  const width = address.family === 4 ? 32 : 128
  if (tail !== undefined && !/^\d{1,3}$/.test(tail)) return undefined
  const length = tail === undefined ? width : Number(tail)
  if (length > width) return undefined
  let value = 0n
  for (const byte of address.bytes) value = (value << 8n) | BigInt(byte)
  const hostBits = BigInt(width - length)
  value = (value >> hostBits) << hostBits
  return address.family === 4
    ? new IPv4CidrRange(new IPv4(value), new IPv4Prefix(BigInt(length)))
    : new IPv6CidrRange(new IPv6(value), new IPv6Prefix(BigInt(length)))
}

function parse(text: string): CidrRange {
  const range = tryParse(text)
  if (!range) throw new RangeError(`not an address or CIDR: ${JSON.stringify(text)}`)
  return range
}

function format(range: CidrRange): string {
  const bytes = new Uint8Array(range instanceof IPv4CidrRange ? 4 : 16)
  let value = range.getFirst().getValue()
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(value & 255n)
    value >>= 8n
  }
  return `${new IpAddress(bytes)}/${range.getPrefix().getValue()}`
}

// ip-num compares bare numbers: ::a00:1 would be inside 10.0.0.0/8. So the family is asked first.
function covers(outer: CidrRange, inner: CidrRange): boolean {
  if (outer instanceof IPv4CidrRange) return inner instanceof IPv4CidrRange && outer.contains(inner)
  return inner instanceof IPv6CidrRange && outer.contains(inner)
}

function without(range: CidrRange, hole: CidrRange): CidrRange[] {
  if (covers(hole, range)) return []
  if (!covers(range, hole)) return [range]
  return range.split().flatMap((half) => without(half, hole))
}

function mergeRanges(ranges: CidrRange[]): CidrRange[] {
  const sorted = ranges.toSorted(
    (a, b) =>
      Number(a instanceof IPv6CidrRange) - Number(b instanceof IPv6CidrRange) ||
      compare(a.getFirst().getValue(), b.getFirst().getValue()) ||
      compare(a.getPrefix().getValue(), b.getPrefix().getValue()),
  )
  const result: CidrRange[] = []
  for (let range of sorted) {
    const last = result.at(-1)
    if (last && covers(last, range)) continue
    // A merged pair may be the second half of a larger one.
    for (let before = result.at(-1); before && mergeable(before, range); before = result.at(-1)) {
      result.pop()
      range = before.merge(range)
    }
    result.push(range)
  }
  return result
}

function mergeable(a: CidrRange, b: CidrRange): boolean {
  return a instanceof IPv4CidrRange === b instanceof IPv4CidrRange && a.isCidrMergeable(b)
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
