// Why a connection could not be made. The codes are those that Node's own sockets and resolver use, so that programs
// which know them (a database driver that tries again after ECONNREFUSED) need not learn others.
import { ToldError } from '../base/told-error.ts'
import type { DialFailure } from '../tunnel/tunnel.ts'

export type ReachCode =
  | 'ECONNREFUSED'
  | 'EHOSTUNREACH'
  | 'ENETUNREACH'
  | 'ETIMEDOUT'
  | 'EACCES' // a firewall or a network policy said so
  | 'ECONNRESET' // the tunnel was lost
  | 'ENOTFOUND' // no such name
  | 'EAI_AGAIN' // nobody could say whether there is such a name
  | 'KT_OUTSIDE' // not in the cluster, and only the cluster is to be reached
  | 'KT_LOOP' // kt itself listens there

export class ReachError extends ToldError<ReachCode> {
  override readonly name = 'ReachError'
}

const failures: Record<DialFailure, [ReachCode, string]> = {
  refused: ['ECONNREFUSED', 'refuses the connection'],
  'host-unreachable': ['EHOSTUNREACH', 'cannot be reached'],
  'net-unreachable': ['ENETUNREACH', 'lies in a network that cannot be reached'],
  timeout: ['ETIMEDOUT', 'does not answer'],
  prohibited: ['EACCES', 'cannot be reached: a firewall forbids it'],
  lost: ['ECONNRESET', 'cannot be reached: the tunnel to the cluster is away'],
}

/** `where` is `web.shop:80`, as the program said it. */
export function dialError(failure: DialFailure, where: string): ReachError {
  const [code, words] = failures[failure]
  const hint = failure === 'refused' ? 'does the pod listen on that port?' : '`kt status` shows how the tunnel does'
  return new ReachError(code, `${where} ${words}`, hint)
}

const directWords: Record<string, string> = {
  ECONNREFUSED: 'refuses the connection',
  EHOSTUNREACH: 'cannot be reached from this machine',
  ENETUNREACH: 'lies in a network that this machine cannot reach',
  ETIMEDOUT: 'does not answer',
  EACCES: 'cannot be reached: a firewall of this machine forbids it',
  EPERM: 'cannot be reached: a firewall of this machine forbids it',
}

/** What a socket of this machine reported. */
export function directError(error: NodeJS.ErrnoException, where: string): ReachError {
  const code = error.code ?? ''
  const known: ReachCode = code === 'EPERM' ? 'EACCES' : code in directWords ? (code as ReachCode) : 'EHOSTUNREACH'
  return new ReachError(known, `${where} ${directWords[code] ?? `cannot be reached: ${code || error.message}`}`, '')
}
