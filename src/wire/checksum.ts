// The Internet checksum (RFC 1071): sums of 16-bit words in one's complement, over bytes and over the pseudo header.
// Sums are carried as plain numbers and folded at the end; the kernel computes most of them, by VNET_F_NEEDS_CSUM.

// 8,192 words of at most 65,535 stay below 2^30, so a block never leaves the range of small integers.
const BLOCK = 16384

/** Adds the 16-bit words of `bytes[start .. end)`, an odd last byte padded with zero, to a sum. Returns a folded sum. */
export function addBytes(sum: number, bytes: Uint8Array, start: number, end: number): number {
  let at = start
  sum = fold(sum)
  while (at < end) {
    const stop = end - at > BLOCK ? at + BLOCK : end
    const even = stop - 1
    for (; at < even; at += 2) sum += (bytes[at] << 8) | bytes[at + 1]
    if (at < stop) sum += bytes[at++] << 8
    sum = fold(sum)
  }
  return sum
}

/** Adds both halves of a 32-bit word. */
export function addWord(sum: number, word: number): number {
  return sum + (word >>> 16) + (word & 0xffff)
}

/** Folds the carries into 16 bits; sums below 2^32. */
export function fold(sum: number): number {
  sum = (sum >>> 16) + (sum & 0xffff)
  return (sum >>> 16) + (sum & 0xffff)
}

/** What goes into a checksum field: the complement of the folded sum. */
export function finish(sum: number): number {
  return ~fold(sum) & 0xffff
}

/** The sum over an IPv4 or IPv6 pseudo header whose addresses lie at `source` and `destination` of a packet. */
export function pseudoSum(
  bytes: Uint8Array,
  source: number,
  destination: number,
  addressLength: number,
  protocol: number,
  length: number,
): number {
  let sum = addBytes(protocol + (length >>> 16) + (length & 0xffff), bytes, source, source + addressLength)
  sum = addBytes(sum, bytes, destination, destination + addressLength)
  return sum
}
