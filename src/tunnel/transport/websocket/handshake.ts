// Opens a WebSocket as client: the upgrade of RFC 6455 4.1. How to get there is dial.ts's business, what comes after, frame.ts's.
import { createHash } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import type { RandomBytes } from '../../../base/random.ts'
import { TunnelError } from '../../errors.ts'
import type { WebSocketTarget } from '../dial.ts'
import { type Upgraded, upgrade } from '../http-upgrade.ts'

/** RFC 6455 1.3 */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * Resolves with the socket. Rejects with TunnelError 'unreachable' that says what the server answered, 'protocol' if it
 * switched to something else.
 */
export async function openWebSocket(
  target: WebSocketTarget,
  protocol: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  { clock, random }: { clock: Clock; random: RandomBytes },
): Promise<Upgraded> {
  const key = random(16).toString('base64')
  const lines = [
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Protocol: ${protocol}`,
  ]
  const url = new URL(target.url)
  const upgraded = await upgrade(target, 'GET', url.search, lines, timeoutMs, signal, clock)
  const { headers } = upgraded.answer
  const accept = createHash('sha1')
    .update(key + MAGIC)
    .digest('base64')
  if (headers.get('sec-websocket-accept') === accept && headers.get('sec-websocket-protocol') === protocol)
    return upgraded
  upgraded.socket.destroy()
  throw new TunnelError(
    'protocol',
    `${url.hostname} answered the upgrade to ${protocol} with something else`,
    'a proxy on the way may not let WebSockets pass',
  )
}
