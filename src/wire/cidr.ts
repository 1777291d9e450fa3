// Sets of addresses as CIDR text. The ranges that are routed into the TUN are computed here. ip-num merges and splits
// them, exactly and slowly (it works with bigints), so this is for settings and start-up, never for packets.
import { IPv4, IPv4CidrRange, IPv4Prefix, IPv6, IPv6CidrRange, IPv6Prefix } from 'ip-num'
import { type Family, IpAddress } from './address.ts'
import { covers, formatPrefix, network, type Prefix, parsePrefix, tryParsePrefix, widthOf } from './prefix.ts'

type CidrRange = IPv4CidrRange | IPv6CidrRange

/** True for an address or a CIDR, of either family. */
export function isCidr(text: string): boolean {
  return tryParsePrefix(text) !== undefined
}

/** The family of an address or a CIDR. Throws RangeError on anything else. */
export function familyOf(cidr: string): Family {
  return parsePrefix(cidr).family
}

/** The prefix length of a CIDR; 32 or 128 of an address. */
export function prefixLength(cidr: string): number {
  return parsePrefix(cidr).length
}

/** The CIDR of this prefix length around an address. */
export function around(address: string, length: number): string {
  const { family } = IpAddress.parse(address)
  if (length < 0 || length > widthOf(family)) throw new RangeError(`no prefix length: ${length}`)
  return network(`${address}/${length}`)
}

/** True if every address of `inner` (a CIDR or an address) is in `outer`. */
export function contains(outer: string, inner: string): boolean {
  return covers(parsePrefix(outer), parsePrefix(inner))
}

/** True if some address is in both. */
export function overlaps(a: string, b: string): boolean {
  return contains(a, b) || contains(b, a)
}

/** The same addresses in the fewest CIDRs: IPv4 first, then by address. */
export function merge(cidrs: readonly string[]): string[] {
  return mergeRanges(cidrs.map(rangeOf)).map(format)
}

/** The addresses of `cidrs` that are in none of `holes`, in the fewest CIDRs. */
export function subtract(cidrs: readonly string[], holes: readonly string[]): string[] {
  let rest = cidrs.map(rangeOf)
  for (const hole of holes.map(parsePrefix)) rest = rest.flatMap((range) => without(range, hole))
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

function rangeOf(cidr: string): CidrRange {
  const { family, bytes, length } = parsePrefix(network(cidr))
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return family === 4
    ? new IPv4CidrRange(new IPv4(value), new IPv4Prefix(BigInt(length)))
    : new IPv6CidrRange(new IPv6(value), new IPv6Prefix(BigInt(length)))
}

function prefixOf(range: CidrRange): Prefix {
  const family = range instanceof IPv4CidrRange ? 4 : 6
  const bytes = new Uint8Array(widthOf(family) / 8)
  let value = range.getFirst().getValue()
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(value & 255n)
    value >>= 8n
  }
  return { family, bytes, length: Number(range.getPrefix().getValue()) }
}

function format(range: CidrRange): string {
  return formatPrefix(prefixOf(range))
}

function without(range: CidrRange, hole: Prefix): CidrRange[] {
  const prefix = prefixOf(range)
  if (covers(hole, prefix)) return []
  if (!covers(prefix, hole)) return [range]
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
    if (last && covers(prefixOf(last), prefixOf(range))) continue
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
