// DNS messages for people: names of types and RCODEs, and an answer's records as text. What must be understood here is
// read by dns2, loaded at the first use since it costs 35 ms and 15 MB; types it lacks are shown as RFC 3597 says.
import type DNS from 'dns2'
import { RCODE } from './message.ts'

const TYPES: Record<string, number> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NAPTR: 35,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  TLSA: 52,
  SVCB: 64,
  HTTPS: 65,
  ANY: 255,
  CAA: 257,
}
const TYPE_NAMES = new Map(Object.entries(TYPES).map(([name, code]) => [code, name]))
const RCODE_NAMES = new Map<number, string>(Object.entries(RCODE).map(([name, code]) => [code, name]))

/** `A`, `TYPE65280` (RFC 3597 5), upper or lower case; undefined for what is no type. */
export function typeCode(name: string): number | undefined {
  const upper = name.toUpperCase()
  const number = /^TYPE(\d{1,5})$/.exec(upper)
  const code = number ? Number(number[1]) : TYPES[upper]
  return code !== undefined && code <= 0xffff ? code : undefined
}

export const typeName = (code: number): string => TYPE_NAMES.get(code) ?? `TYPE${code}`
export const rcodeName = (code: number): string => RCODE_NAMES.get(code) ?? `RCODE${code}`

/** An answer as `kt dns query` shows it. */
export interface DescribedAnswer {
  rcode: string
  truncated: boolean
  answers: DescribedRecord[]
  authorities: DescribedRecord[]
  additionals: DescribedRecord[]
  /** Text of an extended error (RFC 8914); undefined without one. */
  error: string | undefined
}

export interface DescribedRecord {
  name: string
  ttl: number
  type: string
  /** As in a zone file. */
  data: string
}

/** Reads an answer for people. Records that cannot be read are left out. Rejects for what is no DNS message. */
export async function describeAnswer(message: Uint8Array): Promise<DescribedAnswer> {
  const { Packet } = await import('dns2')
  const packet = Packet.parse(Buffer.from(message))
  const opt = packet.additionals.find((record) => record.type === TYPES.OPT)
  const extended = opt?.rdata?.find((option) => option.ednsCode === 15) as { extraText?: string } | undefined
  const describe = (records: DNS.Packet.Resource[]) =>
    records
      .filter((record) => record.type !== TYPES.OPT)
      .map((record) => ({
        name: record.name === '' ? '.' : record.name,
        ttl: record.ttl,
        type: typeName(record.type),
        data: dataText(record),
      }))
  return {
    rcode: rcodeName(packet.header.rcode),
    truncated: packet.header.tc === 1,
    answers: describe(packet.answers),
    authorities: describe(packet.authorities),
    additionals: describe(packet.additionals),
    error: extended?.extraText,
  }
}

function dataText(record: DNS.Packet.Resource): string {
  switch (typeName(record.type)) {
    case 'A':
    case 'AAAA':
      return record.address ?? ''
    case 'CNAME':
    case 'PTR':
      return record.domain ?? ''
    case 'NS':
      return record.ns ?? ''
    case 'MX':
      return `${record.priority} ${record.exchange}`
    case 'SRV':
      return `${record.priority} ${record.weight} ${record.port} ${record.target}`
    case 'TXT':
      return [record.data]
        .flat()
        .map((text) => JSON.stringify(String(text)))
        .join(' ')
    case 'SOA':
      return [
        record.primary,
        record.admin,
        record.serial,
        record.refresh,
        record.retry,
        record.expiration,
        record.minimum,
      ].join(' ')
    case 'CAA':
      return `${record.flags} ${record.tag} ${JSON.stringify(record.value)}`
    default: {
      const data = Buffer.isBuffer(record.data) ? record.data : Buffer.alloc(0)
      return `\\# ${data.length} ${data.toString('hex')}`.trimEnd() // RFC 3597 5
    }
  }
}
