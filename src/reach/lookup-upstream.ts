// This machine's own resolver as an upstream of kt's DNS: getaddrinfo(3), so hosts files, mDNS and the split DNS of other
// VPNs count as they do for every program here. It answers for addresses only, which is all a connection needs.
import type { Clock } from '../base/clock.ts'
import { buildAnswer } from '../dns/build.ts'
import type { DnsUpstream } from '../dns/interfaces.ts'
import { HEADER_LEN, nameText, RCODE, TYPE, u16 } from '../dns/message.ts'
import { UpstreamError, withId } from '../dns/upstream.ts'
import { IpAddress } from '../wire/address.ts'

/** The addresses of one family, as `dns.lookup` gives them; rejects with its error. */
export type Lookup = (name: string, family: 4 | 6) => Promise<string[]>

// The system keeps answers itself, and may be in another network soon.
const TTL_S = 5
// getaddrinfo cannot be given up; glibc itself waits 5 s for each try of each server.
const PATIENCE_MS = 12_000
/** Nobody tries more. */
const MOST_ADDRESSES = 32
/** Errors that say that there is no such name, or no address of that family. */
const NOT_THERE = new Set(['ENOTFOUND', 'ENODATA', 'EAI_NODATA', 'EAI_NONAME', 'EAI_ADDRFAMILY'])

export function lookupUpstream(lookup: Lookup, clock: Clock): DnsUpstream {
  async function addresses(name: string, family: 4 | 6): Promise<string[]> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const cancel = clock.after(PATIENCE_MS, () => reject(new UpstreamError('timeout', 'no answer in time')))
    try {
      return await Promise.race([lookup(name, family), late])
    } finally {
      cancel()
    }
  }

  return {
    name: "this machine's resolver",
    async query(message) {
      const question = questionOf(message)
      const type = u16(question, question.length - 4)
      const answer = (rcode: number, rdata: Uint8Array[] = []) =>
        withId(buildAnswer(question, rcode, rdata, TTL_S), u16(message, 0))
      if (type !== TYPE.A && type !== TYPE.AAAA) return answer(RCODE.NOTIMP)
      const family = type === TYPE.A ? 4 : 6
      const name = nameText(question)
      // An octet that no host name has is written with a backslash, which getaddrinfo does not know.
      if (name === '' || name.includes('\\')) return answer(RCODE.NXDOMAIN)
      try {
        const found = (await addresses(name, family)).map((text) => IpAddress.tryParse(text))
        const bytes = found.flatMap((one) => (one?.family === family ? [one.bytes] : []))
        return answer(RCODE.NOERROR, bytes.slice(0, MOST_ADDRESSES))
      } catch (error) {
        if (error instanceof UpstreamError) throw error
        if (NOT_THERE.has((error as NodeJS.ErrnoException).code ?? '')) return answer(RCODE.NXDOMAIN)
        throw new UpstreamError('lost', (error as Error).message)
      }
    },
    close() {},
  }
}

/** Where only the cluster is to be reached: no other name is looked up at all. */
export function refusingUpstream(): DnsUpstream {
  return {
    name: 'nobody, since only the cluster is to be reached',
    query: async (message) => withId(buildAnswer(questionOf(message), RCODE.REFUSED), u16(message, 0)),
    close() {},
  }
}

/** The question of a message with one question, as kt writes them. */
function questionOf(message: Uint8Array): Uint8Array {
  let end = HEADER_LEN
  while (message[end] !== 0) end += message[end] + 1
  return message.slice(HEADER_LEN, end + 5)
}
