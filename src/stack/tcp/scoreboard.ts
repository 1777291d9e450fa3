// What the peer has reported by SACK (RFC 2018): sorted ranges of sequence numbers above the cumulative ACK, and the
// questions of RFC 6675 about them. Its size is bounded. A flow gets one when it first loses a segment.

/** The most ranges that are kept. A range that is not kept costs one retransmission. */
const MAX_RANGES = 1024
/** RFC 6675 2: DupThresh. */
const DUP_THRESH = 3

export class Scoreboard {
  /** left, right, left, right, ... ascending, neither touching nor overlapping. */
  private readonly edges: number[] = []
  /** Bytes in all ranges. */
  bytes = 0

  get ranges(): number {
    return this.edges.length >> 1
  }

  clear(): void {
    this.edges.length = 0
    this.bytes = 0
  }

  /** Adds `[left, right)`. Returns true if part of it was not known. */
  add(left: number, right: number): boolean {
    const { edges } = this
    // i: the first range that ends at or behind `left`; j: the first that begins behind `right`.
    let i = 0
    while (i < edges.length && ((edges[i + 1] - left) | 0) < 0) i += 2
    let j = i
    let covered = 0
    while (j < edges.length && ((edges[j] - right) | 0) <= 0) {
      covered += (edges[j + 1] - edges[j]) | 0
      j += 2
    }
    if (j > i) {
      if (((edges[i] - left) | 0) < 0) left = edges[i]
      if (((edges[j - 1] - right) | 0) > 0) right = edges[j - 1]
    } else if (this.ranges >= MAX_RANGES) return false
    const size = (right - left) | 0
    if (size === covered) return false
    edges.splice(i, j - i, left, right)
    this.bytes += size - covered
    return true
  }

  /** Forgets what lies below the cumulative ACK. */
  advance(una: number): void {
    const { edges } = this
    let gone = 0
    while (gone < edges.length && ((edges[gone + 1] - una) | 0) <= 0) {
      this.bytes -= (edges[gone + 1] - edges[gone]) | 0
      gone += 2
    }
    if (gone > 0) edges.splice(0, gone)
    if (edges.length > 0 && ((edges[0] - una) | 0) < 0) {
      this.bytes -= (una - edges[0]) | 0
      edges[0] = una
    }
  }

  /**
   * RFC 6675 4, IsLost: what is not here and lies below the answer is lost, since three segments or three ranges above it
   * have arrived. `una` if nothing is.
   */
  lostBelow(una: number, mss: number): number {
    const { edges } = this
    let above = 0
    let ranges = 0
    for (let i = edges.length - 2; i >= 0; i -= 2) {
      above += (edges[i + 1] - edges[i]) | 0
      ranges++
      if (ranges >= DUP_THRESH || above > (DUP_THRESH - 1) * mss) return edges[i]
    }
    return una
  }

  /** The first byte at or above `from` that the peer has not told of, and how many follow below `limit` (or 0). */
  holeAt(from: number, limit: number): number {
    const { edges } = this
    for (let i = 0; i < edges.length; i += 2) {
      if (((edges[i + 1] - from) | 0) <= 0) continue
      if (((edges[i] - from) | 0) > 0) {
        const stop = ((edges[i] - limit) | 0) < 0 ? edges[i] : limit
        this.holeLength = Math.max(0, (stop - from) | 0)
        return from
      }
      from = edges[i + 1]
    }
    this.holeLength = Math.max(0, (limit - from) | 0)
    return from
  }
  /** Second answer of `holeAt`. */
  holeLength = 0

  /** Bytes of `[from, to)` that the peer has told of. */
  covered(from: number, to: number): number {
    const { edges } = this
    let sum = 0
    for (let i = 0; i < edges.length; i += 2) {
      const left = ((edges[i] - from) | 0) < 0 ? from : edges[i]
      const right = ((edges[i + 1] - to) | 0) > 0 ? to : edges[i + 1]
      const size = (right - left) | 0
      if (size > 0) sum += size
    }
    return sum
  }
}
