// ed25519 key pairs in OpenSSH's formats: one for the client, one for the shadow's host key, new for each shadow.
// Formats: PROTOCOL.key of OpenSSH (openssh-key-v1), RFC 4253 6.6 and RFC 8709 4 (public key).
import { generateKeyPairSync } from 'node:crypto'

export interface SshKeyPair {
  /** openssh-key-v1 in PEM, not encrypted. */
  privateKey: string
  /** SSH wire format, base64: what is pinned. */
  publicKey: string
  /** A line for authorized_keys or a .pub file. */
  publicLine: string
}

const TYPE = 'ssh-ed25519'
// The cipher is none, so its block size is 8: PROTOCOL.key 3.
const BLOCK = 8

/** A new key pair. `comment` ends the public line. */
export function generateSshKeyPair(comment: string): SshKeyPair {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d, x } = privateKey.export({ format: 'jwk' })
  return encodeSshKeyPair(Buffer.from(d!, 'base64url'), Buffer.from(x!, 'base64url'), comment)
}

/** The pair of a 32-byte seed and the 32-byte public key that belongs to it (RFC 8032 5.1.5). */
export function encodeSshKeyPair(seed: Uint8Array, publicBytes: Uint8Array, comment: string): SshKeyPair {
  const publicBlob = Buffer.concat([text(TYPE), string(publicBytes)])
  // Two equal check numbers tell a right passphrase from a wrong one; without a passphrase any number does.
  const check = uint32(publicBytes[0])
  const secret = Buffer.concat([check, check, publicBlob, string(Buffer.concat([seed, publicBytes])), text(comment)])
  const padding = Uint8Array.from({ length: (BLOCK - (secret.length % BLOCK)) % BLOCK }, (_, i) => i + 1)
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    text('none'), // cipher
    text('none'), // key derivation
    text(''), // its options
    uint32(1), // keys
    string(publicBlob),
    string(Buffer.concat([secret, padding])),
  ])
  const lines = file.toString('base64').match(/.{1,70}/g)!
  const publicKey = publicBlob.toString('base64')
  return {
    privateKey: ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n'),
    publicKey,
    publicLine: `${TYPE} ${publicKey} ${comment}\n`,
  }
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

function string(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint32(bytes.length), bytes])
}

function text(value: string): Buffer {
  return string(Buffer.from(value))
}
