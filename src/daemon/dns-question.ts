// What a person asks kt's DNS for may be anything: what is no question is told, with what one looks like. Pure.
import { ToldError } from '../base/told-error.ts'
import { nameWire } from '../dns/message.ts'
import { typeCode } from '../dns/records.ts'

const MOST_SHOWN = 300

/** Throws ToldError 'usage'. */
export function requireQuestion(name: string, type: string): void {
  if (name === '' || !nameWire(name))
    throw new ToldError(
      'usage',
      `${JSON.stringify(name.slice(0, MOST_SHOWN))} is not a DNS name`,
      'parts of 1 to 63 letters, digits and dashes between dots, 253 in all; other letters are written as xn--…',
    )
  if (typeCode(type) !== undefined) return
  throw new ToldError('usage', `${type} is not a record type`, 'A, AAAA, SRV, PTR, TXT, CNAME, MX, NS, SOA, or TYPEnnn')
}
