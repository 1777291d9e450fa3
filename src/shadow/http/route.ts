// Where a request goes: what the router needs to know of those who have claimed a version, and nothing of how they did.

import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import type { Endpoint } from '../../wire/address.ts'
import type { HeaderLookup } from '../../wire/http/head.ts'
import type { HeadMemory } from './head-memory.ts'
import type { StreamMemory } from './stream-memory.ts'

/**
 * Opens a connection to one side; the stream ends and is ended half by half (`allowHalfOpen`), and `destroy(error)` on it
 * resets. Rejects with an Error whose `code` is ECONNREFUSED when that side refused, with anything else when it is not there.
 */
export type Dial = () => Promise<Duplex>

/** One claimed version. Compared by identity: connections are used again only for the same object. */
export interface Route {
  readonly dial: Dial
  /** For people: `kt-version: abc`. */
  readonly name: string
}

/** One port of the agent with `http: true`, as the router sees it. */
export interface HttpRouting {
  /** Asked anew for each request. */
  match(header: HeaderLookup): Route | undefined
  /** Given up when `gone` is aborted. */
  original: (gone?: AbortSignal) => Promise<Duplex>
  /** How long the head of a request may take from its first byte, and what the heads under way may hold. */
  headMs: number
  heads: HeadMemory
  /** What the streams of HTTP/2 under way may hold. */
  streams: StreamMemory
  /** The caller, as the pod saw it. */
  origin: Endpoint
  /** Aborted when the agent is to end: connections end where nobody waits for an answer. */
  ending: AbortSignal
  clock: Clock
}

/** Which requests a claim is for. */
export interface HeaderMatch {
  /** Any case. */
  readonly header: string
  readonly value: string
  /** True: a value that begins with `value` is enough. */
  readonly prefix: boolean
}

/** Header names are compared without case, values with. Of `cookie`, the value of one cookie among others is enough. */
export function matches({ header, value, prefix }: HeaderMatch, lookup: HeaderLookup): boolean {
  const name = header.toLowerCase()
  const found = lookup(name)
  if (found === undefined) return false
  const fits = (text: string) => (prefix ? text.startsWith(value) : text === value)
  return fits(found) || (name === 'cookie' && cookiesOf(found).some(fits))
}

/** All cookies of a request are in one header; HTTP/2 may send them in several (RFC 6265 5.4, RFC 9113 8.2.3). */
function cookiesOf(header: string): string[] {
  return header.split(/[;,]/).map((cookie) => cookie.trim())
}
