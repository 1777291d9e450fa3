// The cache of answers, by question. It is made for the hot path. A look-up hashes the question's octets in place and makes
// no object. An answer is copied, and then the client's id, the case of its name and the remaining TTLs are written into it.
// The number of entries and octets is bounded. Entries outlive their TTL so that they can be served stale.
import type { AnswerScan } from './message.ts'
import { FLAG_AD, FLAG_CD, FLAG_RA, FLAG_RD, HEADER_LEN, LOWER, putU32, type QueryView, u32 } from './message.ts'

// RFC 8767 5 suggests 1 to 3 days.
const STALE_MS = 86_400_000
// RFC 8767 4: the TTL of a stale answer.
const STALE_TTL = 30
// RFC 8767 4 advises a cap of days; a day is plenty for a machine that is connected for hours.
const MAX_TTL = 86_400
/** An estimate of the octets that an entry costs beside its message and key, for the bound. */
const ENTRY_OVERHEAD = 300

/** An answer as it is kept: no OPT record, the question in lower case, id 0. */
export interface CacheEntry {
  readonly hash: number
  /** See `CacheKey`. */
  readonly key: Uint8Array
  readonly message: Uint8Array
  readonly ttlOffsets: readonly number[]
  readonly rcode: number
  /** The row of the decision table that led to it. */
  readonly rule: string
  /** The value of `DnsCache.network` when this machine's resolvers were asked; undefined if only the cluster was. */
  readonly network: number | undefined
  /** The Clock time at which the TTLs in the message were right. */
  readonly storedAt: number
  readonly freshUntil: number
  /** After a failure, a stale answer is not renewed before this time. */
  retryAt: number
  used: boolean
  next: CacheEntry | undefined
}

/** A question's identity: its octets with the name in lower case, and one octet for DO and CD. Reused. */
export class CacheKey {
  readonly bytes: Uint8Array = new Uint8Array(255 + 4 + 1)
  length = 0
  hash = 0
  readonly #seed: number

  /** `seed`: 32 random bits, so that nobody can choose names that collide. */
  constructor(seed: number) {
    this.#seed = seed | 0
  }

  set(buffer: Uint8Array, view: QueryView): void {
    const bytes = this.bytes
    const nameEnd = view.questionEnd - 4
    let hash = this.#seed // FNV-1a, 32 bits
    let to = 0
    let from = view.nameStart
    for (; from < nameEnd; from++) hash = Math.imul(hash ^ (bytes[to++] = LOWER[buffer[from]]), 0x01000193)
    for (; from < view.questionEnd; from++) hash = Math.imul(hash ^ (bytes[to++] = buffer[from]), 0x01000193)
    bytes[to++] = (view.dnssecOk ? 1 : 0) | (view.flags3 & FLAG_CD ? 2 : 0)
    this.hash = Math.imul(hash ^ bytes[to - 1], 0x01000193)
    this.length = to
  }

  matches(key: Uint8Array): boolean {
    if (key.length !== this.length) return false
    for (let i = 0; i < key.length; i++) if (key[i] !== this.bytes[i]) return false
    return true
  }
}

export class DnsCache {
  /**
   * Grows when this machine changes its network. Answers of an earlier network's resolvers are not served any more, fresh
   * or stale, because another network may give the same name another address.
   */
  network = 1
  readonly #maxEntries: number
  readonly #maxBytes: number
  // By hash; entries whose hashes collide are chained. Eviction is the clock algorithm in the Map's order: the oldest entry
  // goes first, unless it was used since the hand last passed it.
  readonly #chains = new Map<number, CacheEntry>()
  // The clock's hand. All entries that it has passed were removed or moved to the end. A new iterator for each eviction
  // would step over the places of all removed entries (measured: 16 us).
  #hand: MapIterator<CacheEntry> = this.#chains.values()
  #entries = 0
  #bytes = 0

  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries
    this.#maxBytes = maxBytes
  }

  get entries(): number {
    return this.#entries
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether the entry is of the cluster, or of the network that this machine is in now. */
  isCurrent({ network }: CacheEntry): boolean {
    return network === undefined || network === this.network
  }

  /**
   * The entry for a question, fresh or stale (see `freshUntil`). Undefined also when it is too old to be served stale, or of
   * another network.
   */
  get(key: CacheKey, now: number): CacheEntry | undefined {
    let entry = this.#chains.get(key.hash)
    while (entry && !key.matches(entry.key)) entry = entry.next
    if (!entry || !this.isCurrent(entry) || now >= entry.freshUntil + STALE_MS) return undefined
    entry.used = true
    return entry
  }

  put(entry: CacheEntry): void {
    this.#remove(entry.hash, entry.key)
    entry.next = this.#chains.get(entry.hash)
    this.#chains.set(entry.hash, entry)
    this.#entries++
    this.#bytes += costOf(entry)
    while (this.#entries > this.#maxEntries || this.#bytes > this.#maxBytes) this.#evictOne()
  }

  #evictOne(): void {
    let { value: oldest } = this.#hand.next()
    if (!oldest) {
      this.#hand = this.#chains.values()
      oldest = this.#hand.next().value
    }
    if (!oldest) return
    this.#chains.delete(oldest.hash)
    let used = false
    for (let entry: CacheEntry | undefined = oldest; entry; entry = entry.next) {
      used ||= entry.used
      entry.used = false
    }
    if (used) {
      this.#chains.set(oldest.hash, oldest)
      return
    }
    for (let entry: CacheEntry | undefined = oldest; entry; entry = entry.next) this.#forget(entry)
  }

  #remove(hash: number, key: Uint8Array): void {
    let before: CacheEntry | undefined
    let entry = this.#chains.get(hash)
    while (entry && Buffer.compare(entry.key, key) !== 0) {
      before = entry
      entry = entry.next
    }
    if (!entry) return
    if (before) before.next = entry.next
    else if (entry.next) this.#chains.set(hash, entry.next)
    else this.#chains.delete(hash)
    this.#forget(entry)
  }

  #forget(entry: CacheEntry): void {
    this.#entries--
    this.#bytes -= costOf(entry)
  }
}

const costOf = (entry: CacheEntry): number =>
  entry.message.length + entry.key.length + 8 * entry.ttlOffsets.length + ENTRY_OVERHEAD

/** Makes an entry of an answer without OPT record, which is fresh for `seconds`. */
export function newEntry(
  hash: number,
  key: Uint8Array,
  message: Uint8Array,
  scan: Pick<AnswerScan, 'ttlOffsets' | 'rcode'>,
  now: number,
  seconds: number,
  rule = '',
  network?: number,
): CacheEntry {
  return {
    hash,
    key,
    message,
    ttlOffsets: scan.ttlOffsets,
    rcode: scan.rcode,
    rule,
    network,
    storedAt: now,
    freshUntil: now + Math.min(seconds, MAX_TTL) * 1000,
    retryAt: 0,
    used: false,
    next: undefined,
  }
}

/**
 * Writes the entry as an answer to one client into `out`, which is large enough: its id, its RD and CD bits, its name's
 * upper and lower case, AD only if it asked (RFC 6840 5.8), TTLs counted down. Returns the length.
 * `question` is where the client's question starts in `buffer`; nothing else of the query is read.
 */
export function writeAnswer(
  entry: CacheEntry,
  buffer: Uint8Array,
  question: number,
  view: Pick<QueryView, 'id' | 'flags2' | 'flags3' | 'dnssecOk'>,
  now: number,
  out: Uint8Array,
): number {
  const message = entry.message
  out.set(message)
  out[0] = view.id >>> 8
  out[1] = view.id
  out[2] = (message[2] & ~FLAG_RD) | (view.flags2 & FLAG_RD)
  const keep = view.dnssecOk || view.flags3 & FLAG_AD ? message[3] : message[3] & ~FLAG_AD
  out[3] = (keep & ~FLAG_CD) | FLAG_RA | (view.flags3 & FLAG_CD)
  const nameEnd = HEADER_LEN + entry.key.length - 5
  for (let to = HEADER_LEN, from = question; to < nameEnd; to++, from++) out[to] = buffer[from]
  const offsets = entry.ttlOffsets
  if (now >= entry.freshUntil && entry.freshUntil > entry.storedAt) {
    for (let i = 0; i < offsets.length; i++) putU32(out, offsets[i], STALE_TTL)
  } else {
    const elapsed = Math.floor((now - entry.storedAt) / 1000)
    if (elapsed > 0) {
      for (let i = 0; i < offsets.length; i++) {
        const ttl = u32(message, offsets[i])
        putU32(out, offsets[i], ttl > elapsed && ttl < 0x80000000 ? ttl - elapsed : 0)
      }
    }
  }
  return message.length
}
