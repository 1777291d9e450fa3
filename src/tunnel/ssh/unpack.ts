// Makes ssh2's AES-GCM deciphers cheaper. With a compiled cipher (ssh2's or ours), packets are collected in slabs that hold several,
// and decrypted there in place. So the transport may reuse its read buffer, and no packet needs a buffer of its own. Without a
// compiled cipher gcm-decipher.ts is used.
// Deciphers of other shapes stay as they are.
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
  /** The native binding's object; absent where node:crypto is used. */
  _instance?: { decrypt(packet: Uint8Array, length: number, tag: Uint8Array): void }
  /** AES-GCM only: bytes of the length field that have come. */
  _lenBytes?: number
  _pktLen?: number
  _tag?: Buffer
  _decipherKey?: Buffer | KeyObject
  _decipherIV?: Buffer
  _decipherSSLName?: string
}

/** RFC 4250 4.1.2: channel messages; of others ssh2 may keep a view. */
const FIRST_CHANNEL_MESSAGE = 90

/** Returns true when the decipher keeps nothing of its input any more. `source` is told of each packet's slab. */
export function improveDecipher(decipher: DecipherShape, source: PacketSource): boolean {
  const { _decipherKey: key, _decipherIV: iv } = decipher
  if (Buffer.isBuffer(key) && iv?.length === 12 && decipher._decipherSSLName) {
    const native = compiledGcm()
    if (native) unpackInSlabs(decipher, source, openBy(native, key, iv))
    else unpackByCrypto(decipher, createSecretKey(key), source)
    return true
  }
  const { _instance: instance } = decipher
  if (!instance || decipher._lenBytes === undefined || decipher._tag === undefined) return false
  unpackInSlabs(decipher, source, (bytes, start, end) => {
    const packet = bytes.subarray(start + LENGTH_BYTES, end - TAG_BYTES)
    instance.decrypt(packet, packet.length, bytes.subarray(end - TAG_BYTES, end))
  })
  return true
}

/** Decrypts the packet `bytes[start .. end)` in place, from its length to its tag. Throws Error if a bit of it is wrong. */
type Open = (bytes: Buffer, start: number, end: number) => void

function openBy(native: GcmBinding, key: Buffer, iv: Buffer): Open {
  const aes = native.create(key, false)
  return (bytes, start, end) => {
    if (!native.crypt(aes, iv, bytes.subarray(start, end))) throw new Error('a packet is not authentic')
    countUp(iv)
  }
}

function unpackInSlabs(decipher: DecipherShape, source: PacketSource, open: Open): void {
  const slabs = new PacketSlabs()
  takeOver(decipher, (data, p, length) => {
    while (p < length) {
      p = slabs.fill(data, p, length)
      if (!slabs.complete) return undefined
      const { slab, start, end } = slabs
      const { bytes } = slab
      open(bytes, start, end)
      const packet = bytes.subarray(start + LENGTH_BYTES, end - TAG_BYTES)
      slabs.next()
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

/** Packets one after the other, each in one piece. */
class PacketSlabs {
  slab = takeSlab()
  start = 0
  /** Where the packet ends, once its length is known. */
  end = LENGTH_BYTES
  #have = 0

  get complete(): boolean {
    return this.#have > LENGTH_BYTES && this.start + this.#have === this.end
  }

  /** Takes what belongs to the packet; returns how far. Throws Error on a length that cannot be. */
  fill(data: Buffer, p: number, length: number): number {
    if (this.start + LENGTH_BYTES > SLAB_BYTES) this.#renew(0)
    while (p < length && this.#have < LENGTH_BYTES) {
      this.slab.bytes[this.start + this.#have++] = data[p++]
      if (this.#have === LENGTH_BYTES) this.#measure()
    }
    if (this.#have < LENGTH_BYTES) return p
    const size = Math.min(length - p, this.end - this.start - this.#have)
    if (size > 0) {
      this.slab.bytes.set(data.subarray(p, p + size), this.start + this.#have)
      this.#have += size
    }
    return p + size
  }

  next(): void {
    this.start = this.end
    this.#have = 0
    this.end = this.start + LENGTH_BYTES
  }

  #measure(): void {
    const size = packetBytes(this.slab.bytes.readUInt32BE(this.start))
    const whole = LENGTH_BYTES + size + TAG_BYTES
    if (this.start + whole > SLAB_BYTES) this.#renew(LENGTH_BYTES)
    this.end = this.start + whole
  }

  /** A new slab, beginning with what there is of the packet. */
  #renew(keep: number): void {
    const old = this.slab
    this.slab = takeSlab()
    this.slab.bytes.set(old.bytes.subarray(this.start, this.start + keep))
    this.start = 0
    old.release()
  }
}
