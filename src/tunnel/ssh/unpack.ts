// Makes ssh2's AES-GCM deciphers cheaper. With the compiled cipher, packets are decrypted from where they were read into slabs that
// hold several. So the transport may reuse its read buffer, no packet needs a buffer of its own, and nothing is copied first.
// Without it gcm-decipher.ts is used. Deciphers of other shapes stay as they are.
import { createSecretKey, type KeyObject } from 'node:crypto'
import { GcmUnpacker } from './gcm-decipher.ts'
import { compiledGcm, type GcmBinding } from './native-gcm.ts'
import { countUp, LENGTH_BYTES, type PacketSource, packetBytes, TAG_BYTES } from './packet-shape.ts'
import { SLAB_BYTES, takeSlab } from './slab.ts'

/** What this module reads and replaces on an ssh2 decipher object, found by shape: bundling renames its classes. */
export interface DecipherShape {
  decrypt(data: Buffer, p: number, length: number): number | undefined
  inSeqno: number
  _onPayload(payload: Buffer): number | boolean | undefined
  /** AES-GCM only: bytes of the length field that have come. */
  _lenBytes?: number
  _pktLen?: number
  _decipherKey?: Buffer | KeyObject
  _decipherIV?: Buffer
  _decipherSSLName?: string
}

/** RFC 4250 4.1.2: channel messages; of others ssh2 may keep a view. */
const FIRST_CHANNEL_MESSAGE = 90

/** Returns true when the decipher keeps nothing of its input any more. `source` is told of each packet's slab. */
export function improveDecipher(decipher: DecipherShape, source: PacketSource): boolean {
  const { _decipherKey: key, _decipherIV: iv } = decipher
  if (!Buffer.isBuffer(key) || iv?.length !== 12 || !decipher._decipherSSLName) return false
  const native = compiledGcm()
  if (native) unpackInSlabs(decipher, source, new PacketOpener(native, key, iv))
  else unpackByCrypto(decipher, createSecretKey(key), source)
  return true
}

function unpackInSlabs(decipher: DecipherShape, source: PacketSource, opener: PacketOpener): void {
  takeOver(decipher, (data, p, length) => {
    while (p < length) {
      p = opener.take(data, p, length)
      if (!opener.complete) return undefined
      const { slab } = opener
      const packet = opener.next()
      decipher.inSeqno = (decipher.inSeqno + 1) >>> 0
      if (packet[1] < FIRST_CHANNEL_MESSAGE) slab.keep()
      source.slab = slab
      const result = decipher._onPayload(packet.subarray(1, packet.length - packet[0]))
      source.slab = undefined
      if (result !== undefined) return result === false ? p : (result as number)
    }
    return undefined
  })
}

function unpackByCrypto(decipher: DecipherShape, key: KeyObject, source: PacketSource): void {
  const unpacker = new GcmUnpacker(decipher, key, source)
  takeOver(decipher, (data, p, length) => unpacker.push(data, p, length))
}

/** The decipher is replaced while ssh2 is inside `decrypt`, so ssh2 finishes the packet that it has begun. */
function takeOver(decipher: DecipherShape, decrypt: DecipherShape['decrypt']): void {
  const theirs = decipher.decrypt
  let ours = false
  decipher.decrypt = (data, p, length) => {
    ours ||= decipher._lenBytes === 0 && decipher._pktLen === 0
    return ours ? decrypt(data, p, length) : theirs.call(decipher, Buffer.from(data), p, length)
  }
}

/** Decrypts packets into slabs, one after the other, each in one piece. */
class PacketOpener {
  slab = takeSlab()
  readonly #native: GcmBinding
  readonly #aes: object
  readonly #iv: Buffer
  /** Where the packet begins in the slab, how much of it is there, and where it ends, once its length is known. */
  #start = 0
  #have = 0
  #end = LENGTH_BYTES

  constructor(native: GcmBinding, key: Buffer, iv: Buffer) {
    this.#native = native
    this.#aes = native.create(key, false)
    this.#iv = iv
  }

  get complete(): boolean {
    return this.#have > LENGTH_BYTES && this.#start + this.#have === this.#end
  }

  /** Takes what belongs to the packet; returns how far. Throws Error on a length that cannot be. */
  take(data: Buffer, p: number, length: number): number {
    if (this.#start + LENGTH_BYTES > SLAB_BYTES) this.#renew(0)
    while (p < length && this.#have < LENGTH_BYTES) {
      this.slab.bytes[this.#start + this.#have++] = data[p++]
      if (this.#have === LENGTH_BYTES) this.#measure()
    }
    if (this.#have < LENGTH_BYTES) return p
    const { bytes } = this.slab
    const tagAt = this.#end - TAG_BYTES
    let at = this.#start + this.#have
    const size = Math.min(length - p, tagAt - at)
    if (size > 0) {
      const iv = this.#have === LENGTH_BYTES ? this.#iv : undefined
      if (!this.#native.open(this.#aes, iv, bytes, at, data, p, p + size)) throw new Error('AES-GCM failed')
      at += size
      p += size
    }
    while (p < length && at < this.#end) bytes[at++] = data[p++]
    this.#have = at - this.#start
    return p
  }

  /** The packet between its length and its tag. Throws Error if a bit of it is wrong. The next one is taken from now on. */
  next(): Buffer {
    const tagAt = this.#end - TAG_BYTES
    if (!this.#native.isAuthentic(this.#aes, this.slab.bytes, tagAt)) throw new Error('a packet is not authentic')
    countUp(this.#iv)
    const packet = this.slab.bytes.subarray(this.#start + LENGTH_BYTES, tagAt)
    this.#start = this.#end
    this.#have = 0
    this.#end = this.#start + LENGTH_BYTES
    return packet
  }

  #measure(): void {
    const size = packetBytes(this.slab.bytes.readUInt32BE(this.#start))
    const whole = LENGTH_BYTES + size + TAG_BYTES
    if (this.#start + whole > SLAB_BYTES) this.#renew(LENGTH_BYTES)
    this.#end = this.#start + whole
  }

  /** A new slab, beginning with what there is of the packet. */
  #renew(keep: number): void {
    const old = this.slab
    this.slab = takeSlab()
    this.slab.bytes.set(old.bytes.subarray(this.#start, this.#start + keep))
    this.#start = 0
    old.release()
  }
}
