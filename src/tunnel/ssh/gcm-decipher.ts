// Deciphers AES-GCM packets by node:crypto, where no native binding is there (in the agent). Channel data is handed on in the pieces
// in which it came. ssh2 would join them in fresh memory first, and takes no packet over 35,000 bytes.
import { type CipherGCMTypes, createDecipheriv, type DecipherGCM, type KeyObject } from 'node:crypto'
import { countUp, LENGTH_BYTES, type PacketSource, packetBytes, TAG_BYTES } from './packet-shape.ts'

const CHANNEL_DATA = 94 // RFC 4250 4.1.2
/** Padding length, message type, channel, length of the data: RFC 4253 6, RFC 4254 5.2. */
const DATA_HEADER = 10

/** What is read and kept up to date of an ssh2 decipher object. */
export interface GcmState {
  inSeqno: number
  _onPayload(payload: Buffer): number | boolean | undefined
  _decipherSSLName?: string
  _decipherIV?: Buffer
}

export class GcmUnpacker {
  readonly #state: GcmState
  readonly #key: KeyObject
  readonly #source: PacketSource
  readonly #head = Buffer.alloc(LENGTH_BYTES)
  readonly #tag = Buffer.alloc(TAG_BYTES)
  #headBytes = 0
  #tagBytes = 0
  /** Of the packet, not yet deciphered. */
  #left = 0
  #length = 0
  #pieces: Buffer[] = []
  #aes: DecipherGCM | undefined

  constructor(state: GcmState, key: KeyObject, source: PacketSource) {
    this.#state = state
    this.#key = key
    this.#source = source
  }

  /** As ssh2's `decrypt`: returns where it stopped, if the reader wants something else now. Throws Error on what is no packet of ours. */
  push(data: Buffer, p: number, end: number): number | undefined {
    while (p < end) {
      if (this.#headBytes < LENGTH_BYTES) {
        this.#head[this.#headBytes++] = data[p++]
        if (this.#headBytes === LENGTH_BYTES) this.#begin()
        continue
      }
      if (this.#left > 0) {
        const size = Math.min(this.#left, end - p)
        this.#pieces.push(this.#aes!.update(data.subarray(p, p + size)))
        this.#left -= size
        p += size
        continue
      }
      const size = Math.min(TAG_BYTES - this.#tagBytes, end - p)
      this.#tag.set(data.subarray(p, p + size), this.#tagBytes)
      this.#tagBytes += size
      p += size
      if (this.#tagBytes < TAG_BYTES) return undefined
      const result = this.#end()
      if (result !== undefined) return result === false ? p : (result as number)
    }
    return undefined
  }

  #begin(): void {
    this.#left = this.#length = packetBytes(this.#head.readUInt32BE(0))
    // RFC 5647 7.3: the length is authenticated and not encrypted.
    this.#aes = createDecipheriv(this.#state._decipherSSLName as CipherGCMTypes, this.#key, this.#state._decipherIV!)
    this.#aes.setAAD(this.#head)
  }

  #end(): number | boolean | undefined {
    this.#aes!.setAuthTag(this.#tag)
    this.#aes!.final() // throws if a bit is wrong: nothing was told of the packet so far
    const pieces = this.#pieces
    this.#pieces = []
    this.#headBytes = this.#tagBytes = 0
    this.#state.inSeqno = (this.#state.inSeqno + 1) >>> 0
    countUp(this.#state._decipherIV!)
    if (this.#tellData(pieces)) return undefined
    const packet = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
    return this.#state._onPayload(packet.subarray(1, packet.length - packet[0]))
  }

  /** Returns false if it is no channel data, or not ours. */
  #tellData(pieces: Buffer[]): boolean {
    const [first] = pieces
    if (first.length <= DATA_HEADER || first[1] !== CHANNEL_DATA) return false
    const channel = first.readUInt32BE(2)
    let left = first.readUInt32BE(6)
    if (left + DATA_HEADER + first[0] !== this.#length || !this.#source.takes(channel)) return false
    let start = DATA_HEADER
    for (const piece of pieces) {
      const size = Math.min(piece.length - start, left)
      if (size > 0) this.#source.tell(channel, piece.subarray(start, start + size))
      left -= size
      start = 0
    }
    return true
  }
}
