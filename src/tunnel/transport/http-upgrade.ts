// Asks an HTTP/1.1 server to speak another protocol on this connection: what WebSocket and SPDY port-forwards begin with.
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { unreachableSentence } from '../../base/unreachable.ts'
import { TunnelError } from '../errors.ts'
import {
  type Answer,
  Deadline,
  direct,
  readAnswer,
  readBody,
  secure,
  unreachable,
  type WebSocketTarget,
} from './dial.ts'
import { throughProxy } from './proxy.ts'
import { Inlet } from './transport.ts'

export interface Upgraded {
  socket: Socket
  /** Where the bytes come: nobody listens yet. */
  inlet: Inlet
  encrypted: boolean
  answer: Answer
}

/**
 * Sends `method` for the target's path with `lines` as its headers. Resolves when the server has switched protocols; what
 * it switched to is the caller's to check. Rejects with TunnelError 'unreachable' (RefusedError if the server answered),
 * or with the reason of `signal`. Its socket is closed then.
 */
export async function upgrade(
  target: WebSocketTarget,
  method: string,
  search: string,
  lines: string[],
  timeoutMs: number,
  signal: AbortSignal | undefined,
  clock: Clock,
): Promise<Upgraded> {
  const url = new URL(target.url.replace(/^ws/, 'http'))
  const encrypted = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port || (encrypted ? 443 : 80))
  const deadline = new Deadline(timeoutMs, `${host}:${port}`, clock, signal)
  let asked = false
  try {
    const inlet = new Inlet()
    const socket = target.proxy
      ? await throughProxy(target.proxy, host, port, target.tls, deadline)
      : await direct(host, port, encrypted, target.tls, inlet, deadline)
    const line = target.proxy && encrypted ? await secure(socket, host, target.tls, deadline) : socket
    if (target.proxy) {
      line.on('data', (chunk: Buffer) => inlet.push(chunk))
      line.resume()
    }
    line.setNoDelay(true)
    const headers = Object.entries(target.headers).flatMap(([name, value]) =>
      [value].flat().map((one) => `${name}: ${one}`),
    )
    const request = [
      `${method} ${url.pathname}${search} HTTP/1.1`,
      `Host: ${url.host}`,
      'Connection: Upgrade',
      ...lines,
      ...headers,
    ]
    line.write(`${request.join('\r\n')}\r\n\r\n`, 'latin1')
    asked = true
    const answer = await readAnswer(line, inlet, deadline)
    if (answer.status !== 101) {
      const body = await readBody(line, inlet, answer, deadline)
      line.destroy()
      throw new RefusedError(answer, body)
    }
    deadline.end()
    return { socket: line, inlet, encrypted, answer }
  } catch (error) {
    deadline.end(true)
    signal?.throwIfAborted()
    if (error instanceof TunnelError) throw error
    if (asked) throw new UnansweredError(unreachableSentence(`${host}:${port}`, error as Error))
    const hint = 'see whether the API server can be reached: kubectl version'
    // Whether there is a route at all is told by the system's own error.
    throw Object.assign(unreachable(unreachableSentence(`${host}:${port}`, error as Error), hint), { cause: error })
  }
}

/** Who took the connection ended it, or said something else, when it was asked for the upgrade. */
export class UnansweredError extends TunnelError {
  constructor(message: string) {
    super('unreachable', message, 'see whether the API server can be reached: kubectl version')
  }
}

/** The server answered, but not with 101. */
export class RefusedError extends TunnelError {
  readonly status: number

  constructor(answer: Answer, body: string) {
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
    super('unreachable', `port-forward: the API server answered ${answer.status} ${said || answer.reason}`, hint)
    this.status = answer.status
  }
}
