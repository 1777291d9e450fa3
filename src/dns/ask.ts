// Asks one resolver one question, and checks that what comes back is an answer to it.
import type { Clock } from '../base/clock.ts'
import { buildQuery, EDE, withoutOpt } from './build.ts'
import type { DnsDecision, DnsUpstream } from './interfaces.ts'
import { HEADER_LEN, RCODE, sameQuestion, scanAnswer, u16 } from './message.ts'
import { rcodeName } from './records.ts'
import { type Exchange, ResolveError } from './shape.ts'
import { UpstreamError } from './upstream.ts'

export interface QueryFlags {
  dnssecOk: boolean
  checkingDisabled: boolean
}

interface Asking {
  clock: Clock
  /** Gets a line about this try. */
  tries: DnsDecision['tries']
  /** It is asked only to learn whether a namespace or a service exists. */
  probe: boolean
}

/** The answer comes without its OPT record. Rejects with ResolveError. */
export async function ask(
  upstream: DnsUpstream,
  question: Uint8Array,
  name: string,
  { dnssecOk, checkingDisabled }: QueryFlags,
  { clock, tries, probe }: Asking,
): Promise<Exchange> {
  const started = clock.now()
  const tried = (rcode: string) => {
    const ms = Math.round((clock.now() - started) * 10) / 10
    const one = { name, upstream: upstream.name, rcode, ms }
    tries.push(probe ? { ...one, probe } : one)
  }
  let answer: Uint8Array
  try {
    answer = await upstream.query(buildQuery(question, { dnssecOk, checkingDisabled }), 'udp')
    const rcode = answer[3] & 15
    // RFC 6891 7: a server that does not know EDNS.
    if (rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP)
      answer = await upstream.query(buildQuery(question, { edns: false, checkingDisabled }), 'udp')
  } catch (error) {
    tried(error instanceof UpstreamError ? error.code : 'error')
    const code =
      error instanceof UpstreamError && error.code === 'timeout' ? EDE.NO_REACHABLE_AUTHORITY : EDE.NETWORK_ERROR
    throw new ResolveError({ code, text: (error as Error).message })
  }
  const raw = scanAnswer(answer)
  if (
    !raw ||
    !sameQuestion(question, 0, answer, HEADER_LEN, question.length) ||
    raw.questionEnd !== HEADER_LEN + question.length
  ) {
    tried('malformed')
    throw new ResolveError({ code: EDE.INVALID_DATA, text: `${upstream.name} sent a malformed answer` })
  }
  // Without an OPT record, or with one at the end, all other records stay where they are.
  const same = raw.opt === undefined || raw.opt.before + 1 === u16(answer, 10)
  const message = withoutOpt(answer, raw)
  const scan = same ? raw : scanAnswer(message)!
  scan.rcode = raw.rcode
  tried(rcodeName(scan.rcode))
  return { message, scan }
}
