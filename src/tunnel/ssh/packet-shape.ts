// An SSH packet in AES-GCM (RFC 5647): its lengths, its counter, and what is told about it when it is unpacked.
import type { Slab } from './slab.ts'

/** Channel data of one message. RFC 4253 6.1: 32,768 bytes of payload must be taken; ssh2 takes packets up to 35,000. */
export const MAX_DATA = 32 * 1024
/**
 * The same between kt's own two ends: what fills the largest frame that a TUN takes, 44 segments of 1460 bytes. With node:crypto
 * a packet costs 15 us however short it is.
 */
export const MAX_OWN_DATA = 44 * 1460

export const LENGTH_BYTES = 4
export const TAG_BYTES = 16 // RFC 5647 6.3
export const BLOCK = 16 // RFC 5647 7.1
/** Channel data, its header, the packet's own and the longest padding. */
const MAX_PACKET = MAX_OWN_DATA + 9 + 1 + 255

/** The value of the length field: the number of bytes between it and the tag. Throws Error if no packet can have this length. */
export function packetBytes(length: number): number {
  if (length < BLOCK || length % BLOCK !== 0 || length > MAX_PACKET) throw new Error(`Bad packet length: ${length}`)
  return length
}

/** RFC 5647 7.1: the last 8 bytes of the IV count the packets. */
export function countUp(iv: Buffer): void {
  for (let i = 11; i >= 4; i--) {
    iv[i] = (iv[i] + 1) & 255
    if (iv[i] !== 0) break
  }
}

/** Where the packet that is being delivered lies, and a short way for channel data. */
export interface PacketSource {
  /** Undefined while it is memory of ssh2's own. */
  slab: Slab | undefined
  /** Whether data of this channel may be told by `tell`, which does nothing else then. */
  takes(channel: number): boolean
  tell(channel: number, data: Buffer): void
}
