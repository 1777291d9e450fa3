// A port of a pod through the API server: Kubernetes' port-forward, over SPDY/3.1 where it is spoken, else over a WebSocket.
// SPDY first, since on the way up containerd spends less than half as long on it (docs/understand/performance.md): it undoes a WebSocket's masking
// byte by byte.

import { TunnelError } from '../errors.ts'
import type { WebSocketTarget } from './dial.ts'
import { RefusedError } from './http-upgrade.ts'
import type { Path } from './path.ts'
import { openSpdyForward } from './spdy/portforward.ts'
import { openWebSocketForward } from './websocket/portforward.ts'

// What servers and proxies answer that do not know the upgrade or the method, or a user who may only `get`.
const NOT_SPDY = new Set([400, 403, 405, 406, 415, 426, 501])

/**
 * Opens a port-forward. Rejects with TunnelError 'unreachable' or 'timeout', or with the reason of `signal`; nothing is left
 * open then.
 */
export async function openPortForward(
  endpoint: WebSocketTarget,
  signal?: AbortSignal,
  timeoutMs = 15_000,
): Promise<Path> {
  try {
    return await openSpdyForward(endpoint, timeoutMs, signal)
  } catch (error) {
    const other =
      (error instanceof RefusedError && NOT_SPDY.has(error.status)) ||
      (error instanceof TunnelError && error.code === 'protocol')
    if (!other) throw error
    return openWebSocketForward(endpoint, timeoutMs, signal)
  }
}
