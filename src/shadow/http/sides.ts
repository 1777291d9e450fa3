// The two kinds of places a request can go to, and what it means when one of them cannot be reached.
import type { Duplex } from 'node:stream'
import type { HeaderLookup } from '../../wire/http/head.ts'
import type { HttpRouting, Route } from './route.ts'

/** The pods that the Service had before. */
export const original = Symbol('original')

/**
 * A connection to a version's owner that was silent for longer is not trusted: the laptop may be asleep. A dial, which gives up
 * after a second, or a ping finds out.
 */
export const TRUSTED_MS = 1000

export type Side = Route | typeof original

export function sideOf(routing: HttpRouting, header: HeaderLookup): Side {
  return routing.match(header) ?? original
}

/**
 * A connection to `side`; undefined where a version's owner does not answer, so that the original shall; or the sentence
 * to refuse the request with. A version that refuses is told to the caller: to get the original's answer instead would
 * hide that what one tries out does not run.
 */
export async function dialSide(routing: HttpRouting, side: Side): Promise<Duplex | string | undefined> {
  try {
    return await (side === original ? routing.original() : side.dial())
  } catch (error) {
    if (side === original) return `the original pods of this service cannot be reached: ${(error as Error).message}`
    if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') return undefined
    return `nothing accepts connections where requests with "${side.name}" are to go`
  }
}
