// A port of a pod through the API server: Kubernetes' port-forward, over SPDY/3.1 or over a WebSocket. What lies before an
// API server may let only one of them pass, so the other one is tried when one fails.
// SPDY first where nothing is known, since on the way up containerd spends less than half as long on it
// (docs/understand/performance.md): it undoes a WebSocket's masking byte by byte.

import { type Clock, systemClock } from '../../base/clock.ts'
import { type RandomBytes, systemRandom } from '../../base/random.ts'
import { TunnelError } from '../errors.ts'
import type { WebSocketTarget } from './dial.ts'
import { RefusedError, UnansweredError } from './http-upgrade.ts'
import type { Path, Way } from './path.ts'
import { openSpdyForward } from './spdy/portforward.ts'
import { openWebSocketForward } from './websocket/portforward.ts'

// What servers and proxies answer that do not know the upgrade or the method, or a user who may only `get`; and gateways whose
// server behind them said something that they do not know.
const OTHER_MAY_PASS = new Set([400, 403, 405, 406, 415, 426, 501, 502, 503])
/** A way that does not answer for so long may be swallowed: by default the other one is tried beside it. */
const BESIDE_MS = 2_000
/** So long the first way may still answer after the other one has. */
const GRACE_MS = 500

export const WAY_NAMES: Record<Way, string> = { spdy: 'SPDY', websocket: 'a WebSocket' }

export interface ForwardOptions {
  timeoutMs?: number
  /** Tried first. Default: SPDY. */
  first?: Way
  /** The other way is tried, too, when the first does not answer. Default: true. */
  beside?: boolean
  clock?: Clock
  random?: RandomBytes
}

/**
 * Opens a port-forward. Rejects with TunnelError 'unreachable' or 'timeout', whose message says what each way came to that
 * was tried, or with the reason of `signal`; nothing is left open then.
 */
export async function openPortForward(
  endpoint: WebSocketTarget,
  signal?: AbortSignal,
  {
    timeoutMs = 15_000,
    first = 'spdy',
    beside = true,
    clock = systemClock,
    random = systemRandom,
  }: ForwardOptions = {},
): Promise<Path> {
  const second: Way = first === 'spdy' ? 'websocket' : 'spdy'
  const over = new AbortController()
  const either = signal ? AbortSignal.any([signal, over.signal]) : over.signal
  const open = (way: Way) =>
    way === 'spdy'
      ? openSpdyForward(endpoint, timeoutMs, either, clock)
      : openWebSocketForward(endpoint, timeoutMs, either, { clock, random })
  const late = Promise.withResolvers<void>()
  const cancelBeside = beside ? clock.after(BESIDE_MS, late.resolve) : () => {}
  let cancelGrace = () => {}
  let winner: Path | undefined
  const take = (path: Path) => {
    winner ??= path
    if (winner !== path) path.destroy()
    return winner
  }
  const one = open(first)
  const firstOver = one.then(
    () => undefined,
    (error: Error) => error,
  )
  const other = Promise.race([firstOver, late.promise]).then(async (failure) => {
    if (winner) return winner
    if (failure && !otherMayPass(failure)) throw failure
    either.throwIfAborted()
    const path = await open(second)
    const grace = new Promise<undefined>(
      (resolve) => void (cancelGrace = clock.after(GRACE_MS, () => resolve(undefined))),
    )
    await Promise.race([firstOver, grace])
    if (signal?.aborted) path.destroy()
    signal?.throwIfAborted()
    return take(path)
  })
  try {
    return await Promise.any([one.then(take), other])
  } catch (error) {
    signal?.throwIfAborted()
    const [ofFirst, ofSecond] = (error as AggregateError).errors as Error[]
    if (ofFirst !== ofSecond)
      ofSecond.message += ` (over ${WAY_NAMES[second]}; over ${WAY_NAMES[first]}: ${withoutPrefix(ofFirst)})`
    throw ofSecond
  } finally {
    cancelBeside()
    cancelGrace()
    over.abort()
    // What comes too late is closed by `take`.
    one.catch(() => {})
    other.catch(() => {})
  }
}

function otherMayPass(error: Error): boolean {
  if (error instanceof RefusedError) return OTHER_MAY_PASS.has(error.status)
  return error instanceof UnansweredError || (error instanceof TunnelError && error.code === 'protocol')
}

const withoutPrefix = ({ message }: Error) => message.replace(/^port-forward: /, '')
