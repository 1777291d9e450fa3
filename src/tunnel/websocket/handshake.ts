// Opens a WebSocket as client: the upgrade of RFC 6455 4.1. How to get there is dial.ts's business, what comes after, frame.ts's.
import { createHash, randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { TunnelError } from '../errors.ts'
import { Inlet } from '../transport.ts'
import {
  type Answer,
  Deadline,
  direct,
  readAnswer,
  readBody,
  secure,
  throughProxy,
  unreachable,
  type WebSocketTarget,
} from './dial.ts'

export interface OpenWebSocket {
  socket: Socket
  /** Where the frames come: nobody listens yet. */
  inlet: Inlet
  encrypted: boolean
}

/** RFC 6455 1.3 */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Resolves with the socket. Rejects with TunnelError 'unreachable' that says what the server answered. */
export async function openWebSocket(
  target: WebSocketTarget,
  protocol: string,
  timeoutMs: number,
): Promise<OpenWebSocket> {
  const url = new URL(target.url.replace(/^ws/, 'http'))
  const encrypted = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port || (encrypted ? 443 : 80))
  const deadline = new Deadline(timeoutMs, `${host}:${port}`)
  try {
    const inlet = new Inlet()
    const socket = target.proxy
      ? await throughProxy(target.proxy, host, port, deadline)
      : await direct(host, port, encrypted, target.tls, inlet, deadline)
    const line = target.proxy && encrypted ? await secure(socket, host, target.tls, deadline) : socket
    if (target.proxy) {
      line.on('data', (chunk: Buffer) => inlet.push(chunk))
      line.resume()
    }
    line.setNoDelay(true)
    const key = randomBytes(16).toString('base64')
    const lines = [
      `GET ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`,
      `Sec-WebSocket-Protocol: ${protocol}`,
      ...Object.entries(target.headers).map(([name, value]) => `${name}: ${value}`),
    ]
    line.write(`${lines.join('\r\n')}\r\n\r\n`)
    const answer = await readAnswer(line, inlet, deadline)
    if (answer.status !== 101) {
      const body = await readBody(line, inlet, answer, deadline)
      line.destroy()
      throw refused(answer, body)
    }
    const accept = createHash('sha1')
      .update(key + MAGIC)
      .digest('base64')
    if (
      answer.headers.get('sec-websocket-accept') !== accept ||
      answer.headers.get('sec-websocket-protocol') !== protocol
    ) {
      line.destroy()
      throw unreachable(
        `${host} answered the upgrade to ${protocol} with something else`,
        'a proxy on the way may not let WebSockets pass',
      )
    }
    deadline.end()
    return { socket: line, inlet, encrypted }
  } catch (error) {
    deadline.end(true)
    if (error instanceof TunnelError) throw error
    throw unreachable(
      `${host}:${port}: ${(error as Error).message}`,
      'see whether the API server can be reached: kubectl version',
    )
  }
}

function refused(answer: Answer, body: string): TunnelError {
  let said = body.trim().split('\n')[0]
  try {
    said = (JSON.parse(body) as { message?: string }).message ?? said
  } catch {
    // Not a Kubernetes Status: the first line is what there is.
  }
  const hint =
    answer.status === 401
      ? 'your credentials have expired or are wrong: log in again'
      : answer.status === 403
        ? 'ask for the right to get (and create) pods/portforward in this namespace'
        : 'see whether kubectl port-forward to the shadow pod works'
  return unreachable(`port-forward: the API server answered ${answer.status} ${said || answer.reason}`, hint)
}
