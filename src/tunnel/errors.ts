// What can go wrong with a tunnel as a whole, for people who will read it at the edge.
import { ToldError } from '../base/told-error.ts'

export type TunnelErrorCode =
  | 'host-key' // the server showed another host key than the pinned one
  | 'auth' // the server refused our key
  | 'unreachable' // no transport: the API server or the port-forward refused
  | 'lost' // the transport went away
  | 'timeout'
  | 'protocol' // the far side speaks something else
  | 'port-in-use' // somebody else has claimed the shadow's port
  | 'no-port' // the shadow has no such port

export class TunnelError extends ToldError<TunnelErrorCode> {
  override readonly name = 'TunnelError'
}

/** Asked of a shadow that cannot do it. */
export class UnsupportedError extends Error {
  constructor(what: string) {
    super(`${what} needs kt's own agent in the shadow: connect with --shadow agent`)
    this.name = 'UnsupportedError'
  }
}
