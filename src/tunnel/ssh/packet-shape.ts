// Lengths of an SSH packet in AES-GCM (RFC 5647), and what who unpacks them tells of them.
import { MAX_OWN_DATA } from './channel.ts'
import type { Slab } from './slab.ts'

export const LENGTH_BYTES = 4
export const TAG_BYTES = 16 // RFC 5647 6.3
export const BLOCK = 16 // RFC 5647 7.1
/** Channel data, its header, the packet's own and the longest padding. */
const MAX_PACKET = MAX_OWN_DATA + 9 + 1 + 255

/** What the length field says, the bytes between it and the tag. Throws Error on a length that cannot be. */
export function packetBytes(length: number): number {
  if (length < BLOCK || length % BLOCK !== 0 || length > MAX_PACKET) throw new Error(`Bad packet length: ${length}`)
  return length
}

/** Where the packet that is being delivered lies, and a short way for channel data. */
export interface PacketSource {
  /** Undefined while it is memory of ssh2's own. */
  slab: Slab | undefined
  /** Whether data of this channel may be told by `tell`, which does nothing else then. */
  takes(channel: number): boolean
  tell(channel: number, data: Buffer): void
}
