// X.509 certificates by hand: Node can sign but not issue, and the lab must not need openssl. ECDSA P-256 with SHA-256,
// a CA and what it signs. RFC 5280 for the structure, X.690 for DER.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { IpAddress } from '../../src/wire/address.ts'

export interface Certificate {
  /** PEM. */
  cert: string
  /** PKCS #8 PEM. */
  key: string
}

export interface CertificateRequest {
  commonName: string
  organization?: string
  addresses?: readonly string[]
  names?: readonly string[]
  notBefore: Date
  notAfter: Date
}

interface Issuer {
  name: Buffer
  key: KeyObject
}

/** A CA of its own, and `issue` for what it signs. */
export function createAuthority(commonName: string, notBefore: Date, notAfter: Date) {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer: Issuer = { name: distinguishedName(commonName), key: pair.privateKey }
  const extensions = [
    extension([2, 5, 29, 19], true, sequence(boolean(true))), // basicConstraints: CA
    extension([2, 5, 29, 15], true, Buffer.from([3, 2, 1, 0x06])), // keyUsage: keyCertSign, cRLSign
  ]
  const cert = build(issuer, issuer.name, pair.publicKey, notBefore, notAfter, extensions)
  return { cert, issue: (request: CertificateRequest) => issue(issuer, request) }
}

function issue(issuer: Issuer, request: CertificateRequest): Certificate {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const extensions = [
    extension([2, 5, 29, 15], true, Buffer.from([3, 2, 7, 0x80])), // keyUsage: digitalSignature
    extension([2, 5, 29, 37], false, sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 1), oid(1, 3, 6, 1, 5, 5, 7, 3, 2))), // server, client
  ]
  const alternatives = [
    ...(request.names ?? []).map((name) => tlv(0x82, Buffer.from(name))),
    ...(request.addresses ?? []).map((text) => tlv(0x87, Buffer.from(IpAddress.parse(text).bytes))),
  ]
  if (alternatives.length > 0) extensions.push(extension([2, 5, 29, 17], false, sequence(...alternatives)))
  const subject = distinguishedName(request.commonName, request.organization)
  return {
    cert: build(issuer, subject, pair.publicKey, request.notBefore, request.notAfter, extensions),
    key: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}

function build(issuer: Issuer, subject: Buffer, key: KeyObject, from: Date, until: Date, extensions: Buffer[]): string {
  const algorithm = sequence(oid(1, 2, 840, 10045, 4, 3, 2)) // ecdsa-with-SHA256
  const serial = randomBytes(8)
  serial[0] = (serial[0] & 0x3f) | 0x40 // positive and minimal
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, serial),
    algorithm,
    issuer.name,
    sequence(time(from), time(until)),
    subject,
    key.export({ format: 'der', type: 'spki' }),
    tlv(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', body, issuer.key)
  const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = der.toString('base64').match(/.{1,64}/g)!
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function tlv(tag: number, ...content: Buffer[]): Buffer {
  const value = Buffer.concat(content)
  const length = value.length
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from(head), value])
}

const sequence = (...content: Buffer[]) => tlv(0x30, ...content)
const boolean = (value: boolean) => tlv(0x01, Buffer.from([value ? 0xff : 0]))

function oid(first: number, second: number, ...rest: number[]): Buffer {
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const groups = [part & 0x7f]
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return tlv(0x06, Buffer.from(bytes))
}

function distinguishedName(commonName: string, organization?: string): Buffer {
  const attribute = (type: number, value: string) =>
    tlv(0x31, sequence(oid(2, 5, 4, type), tlv(0x0c, Buffer.from(value))))
  return sequence(...(organization ? [attribute(10, organization)] : []), attribute(3, commonName))
}

function extension(id: [number, number, ...number[]], critical: boolean, value: Buffer): Buffer {
  return sequence(oid(...id), ...(critical ? [boolean(true)] : []), tlv(0x04, value))
}

// UTCTime, good for 1950 to 2049 (RFC 5280 4.1.2.5.1).
function time(date: Date): Buffer {
  return tlv(
    0x17,
    Buffer.from(
      `${date
        .toISOString()
        .replace(/[-:T]|\.\d+/g, '')
        .slice(2, 14)}Z`,
    ),
  )
}
