// What a client of the proxy is told when its connection cannot be made: each kind in SOCKS and in HTTP. Pure.
import { REPLY, type Reply } from './socks.ts'

const replies: Record<string, Reply> = {
  ECONNREFUSED: REPLY.refused,
  EHOSTUNREACH: REPLY.hostUnreachable,
  ENETUNREACH: REPLY.netUnreachable,
  // RFC 1928 has no code for silence; this is the one that other servers use for it.
  ETIMEDOUT: REPLY.ttlExpired,
  EACCES: REPLY.notAllowed,
  ENOTFOUND: REPLY.hostUnreachable,
  EAI_AGAIN: REPLY.failure,
  ECONNRESET: REPLY.failure,
  KT_OUTSIDE: REPLY.notAllowed,
  KT_LOOP: REPLY.notAllowed,
}

export function socksReply(code: string): Reply {
  return replies[code] ?? REPLY.failure
}

/** RFC 9110 15.6: 504 where time is up, 403 where kt will not, 502 for the rest. */
export function httpStatus(code: string): 403 | 502 | 504 {
  if (code === 'ETIMEDOUT' || code === 'EAI_AGAIN') return 504
  return code === 'KT_OUTSIDE' || code === 'KT_LOOP' ? 403 : 502
}
