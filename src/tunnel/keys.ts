// Key pairs for one shadow: ed25519, made here, the private halves stay in memory (the host's goes into the shadow's Secret).
import keygen from 'ssh2/lib/keygen.js'
import keyParser from 'ssh2/lib/protocol/keyParser.js'

export interface KeyPair {
  /** OpenSSH PEM. */
  privateKey: string
  /** A line for an authorized_keys file. */
  publicLine: string
  /** The public half in SSH wire format, base64: what `hostKey` is compared with. */
  publicKey: string
}

export function generateKeyPair(comment: string): KeyPair {
  const pair = keygen.generateKeyPairSync('ed25519', { comment })
  return { privateKey: pair.private, publicLine: pair.public.trim(), publicKey: publicKeyOf(pair.public) }
}

/** The key of an OpenSSH public line (or private PEM) in wire format, base64. Throws Error if it cannot be read. */
export function publicKeyOf(text: string): string {
  const parsed = keyParser.parseKey(text)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key instanceof Error) throw key
  return key.getPublicSSH().toString('base64')
}
