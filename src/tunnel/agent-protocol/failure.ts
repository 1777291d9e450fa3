// Why a dial failed: from errno names (the agent, this machine's sockets) or from the words OpenSSH uses.
import type { DialFailure } from '../tunnel.ts'

const BY_ERRNO: Record<string, DialFailure> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'refused',
  EHOSTUNREACH: 'host-unreachable',
  EHOSTDOWN: 'host-unreachable',
  ENETUNREACH: 'net-unreachable',
  EADDRNOTAVAIL: 'net-unreachable',
  ETIMEDOUT: 'timeout',
  EACCES: 'prohibited',
  EPERM: 'prohibited',
}

// strerror(3) as OpenSSH puts it into the description of CHANNEL_OPEN_FAILURE.
const BY_WORDS: [RegExp, DialFailure][] = [
  [/connection refused|connection reset/i, 'refused'],
  [/no route to host|host is (down|unreachable)/i, 'host-unreachable'],
  [/network is unreachable|cannot assign requested address/i, 'net-unreachable'],
  [/timed out/i, 'timeout'],
  [/permission denied|operation not permitted|prohibited/i, 'prohibited'],
]

/** From the name of an errno; 'host-unreachable' for what has no answer of its own on the wire. */
export function failureOfErrno(code: string | undefined): DialFailure {
  return BY_ERRNO[code ?? ''] ?? 'host-unreachable'
}

const ERRNO: Record<DialFailure, string> = {
  refused: 'ECONNREFUSED',
  'host-unreachable': 'EHOSTUNREACH',
  'net-unreachable': 'ENETUNREACH',
  timeout: 'ETIMEDOUT',
  prohibited: 'EACCES',
  lost: 'ECONNRESET',
}

/** The name of an errno for a reason. */
export function errnoOfFailure(reason: DialFailure): string {
  return ERRNO[reason]
}

/** From reason and description of a CHANNEL_OPEN_FAILURE. */
export function failureOfOpen(reason: number, description: string): DialFailure {
  const errno = /^([A-Z][A-Z0-9]+):/.exec(description)?.[1]
  if (errno) return failureOfErrno(errno)
  for (const [words, failure] of BY_WORDS) if (words.test(description)) return failure
  return reason === 1 ? 'prohibited' : 'host-unreachable'
}
