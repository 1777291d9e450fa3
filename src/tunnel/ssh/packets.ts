// Makes ssh2's ciphers write packets where the transport will send them from, instead of into a fresh buffer a packet:
// one copy and one allocation of 32 KiB less, and no system call for the padding. Ciphers of other shapes stay as they are.
// (The other direction is unpack.ts.)
import { createCipheriv, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto'
import { compiledGcm } from './native-gcm.ts'
import { BLOCK, countUp, LENGTH_BYTES, TAG_BYTES } from './packet-shape.ts'

/** What this module reads and replaces on an ssh2 cipher object, found by shape: bundling renames its classes. */
export interface CipherShape {
  allocPacket(payloadLength: number): Buffer
  encrypt(packet: Buffer): void
  /** Ours, where it can be: `encrypt` of a packet whose bytes from `at` on are `data[start .. end)`, without a copy of them. */
  seal?(packet: Buffer, at: number, data: Uint8Array, start: number, end: number): void
  outSeqno: number
  _onWrite(packet: Uint8Array): void
  _dead: boolean
  /** These three: AES-GCM only. */
  _encSSLName?: 'aes-128-gcm' | 'aes-256-gcm'
  _encKey?: Buffer
  _encIV?: Buffer
}

// RFC 4253 6: padding SHOULD be random. Taken from a pool, since a call for 4 to 20 bytes costs as much as encrypting 4 KiB.
const pool = Buffer.allocUnsafeSlow(4096)
let poolUsed = pool.length

function pad(packet: Buffer, start: number, length: number): void {
  if (poolUsed + length > pool.length) {
    randomFillSync(pool)
    poolUsed = 0
  }
  for (let i = 0; i < length; i++) packet[start + i] = pool[poolUsed + i]
  poolUsed += length
}

/** From now on packets come from `reserve`. Returns whether the cipher is of a shape known here. */
export function placePackets(cipher: CipherShape, reserve: (length: number) => Buffer): boolean {
  if (cipher._encKey === undefined || cipher._encIV?.length !== 12) return false
  cipher.allocPacket = (payloadLength) => {
    const unpadded = 5 + payloadLength
    // RFC 5647 7.3: the length is not encrypted, nor counted for padding.
    let padding = BLOCK - ((unpadded - LENGTH_BYTES) & (BLOCK - 1))
    if (padding < 4) padding += BLOCK
    const packet = reserve(unpadded + padding + TAG_BYTES)
    const length = unpadded + padding - 4
    packet[0] = length >>> 24
    packet[1] = length >>> 16
    packet[2] = length >>> 8
    packet[3] = length
    packet[4] = padding
    pad(packet, unpadded, padding)
    return packet
  }
  const native = compiledGcm()
  if (native) {
    const aes = native.create(cipher._encKey, true)
    cipher.encrypt = (packet) => {
      if (cipher._dead) return
      if (!native.encrypt(aes, cipher._encIV!, packet)) throw new Error('AES-GCM failed')
      sent(cipher, packet)
    }
    cipher.seal = (packet, at, data, start, end) => {
      if (cipher._dead) return
      if (!native.seal(aes, cipher._encIV!, packet, at, data, start, end)) throw new Error('AES-GCM failed')
      sent(cipher, packet)
    }
  } else {
    const key = createSecretKey(cipher._encKey)
    cipher.encrypt = (packet) => encryptGcm(cipher, key, packet)
  }
  return true
}

function encryptGcm(cipher: CipherShape, key: KeyObject, packet: Buffer): void {
  if (cipher._dead) return
  const iv = cipher._encIV!
  const aes = createCipheriv(cipher._encSSLName!, key, iv)
  aes.setAAD(packet.subarray(0, 4))
  packet.set(aes.update(packet.subarray(4, packet.length - TAG_BYTES)), 4)
  aes.final()
  packet.set(aes.getAuthTag(), packet.length - TAG_BYTES)
  sent(cipher, packet)
}

function sent(cipher: CipherShape, packet: Buffer): void {
  cipher._onWrite(packet)
  countUp(cipher._encIV!)
  cipher.outSeqno = (cipher.outSeqno + 1) >>> 0
}
