// Key pairs for one shadow: ed25519, made here, the private halves stay in memory (the host's goes into the shadow's Secret).
// Written in OpenSSH's own format. ssh2's generator is not used: one of 256 keys of its (1.17.0), those that begin with a zero byte,
// cannot be read.
import { generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto'
import keyParser from 'ssh2/lib/protocol/keyParser.js'

export interface KeyPair {
  /** OpenSSH PEM. */
  privateKey: string
  /** A line for an authorized_keys file. */
  publicLine: string
  /** The public half in SSH wire format, base64: what `hostKey` is compared with. */
  publicKey: string
}

/** RFC 8709 4 */
const TYPE = 'ssh-ed25519'
/** Cipher block size of an unencrypted OpenSSH key file: PROTOCOL.key of OpenSSH. */
const BLOCK = 8

export function generateKeyPair(comment: string): KeyPair {
  const jwk: JsonWebKey = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return encodeKeyPair(Buffer.from(jwk.d!, 'base64url'), Buffer.from(jwk.x!, 'base64url'), comment)
}

/** From the 32 bytes of seed and of public key, RFC 8032 5.1.5. */
export function encodeKeyPair(seed: Buffer, point: Buffer, comment: string): KeyPair {
  const wire = Buffer.concat([string(TYPE), string(point)])
  const check = randomBytes(4)
  const secret = Buffer.concat([
    check,
    check,
    string(TYPE),
    string(point),
    string(Buffer.concat([seed, point])),
    string(comment),
  ])
  const padding = Buffer.from(Array.from({ length: (BLOCK - (secret.length % BLOCK)) % BLOCK }, (_, i) => i + 1))
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    string('none'), // cipher
    string('none'), // key derivation
    string(''),
    uint32(1), // number of keys
    string(wire),
    string(Buffer.concat([secret, padding])),
  ])
  const lines = file.toString('base64').match(/.{1,70}/g)!
  const publicKey = wire.toString('base64')
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicLine: `${TYPE} ${publicKey} ${comment}`,
    publicKey,
  }
}

/** The key of an OpenSSH public line (or private PEM) in wire format, base64. Throws Error if it cannot be read. */
export function publicKeyOf(text: string): string {
  const parsed = keyParser.parseKey(text)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key instanceof Error) throw key
  return key.getPublicSSH().toString('base64')
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}
