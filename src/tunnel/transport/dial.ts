// Connects to a server that speaks HTTP/1.1, over TCP and TLS, and reads the header of its answer. proxy.ts does so through
// a proxy.
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import * as nodeTls from 'node:tls'
import { type ConnectionOptions, connect as connectTls, getCACertificates, type TLSSocket } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import { TunnelError } from '../errors.ts'
import type { Inlet } from './transport.ts'

export interface WebSocketTarget {
  /** https:// or wss://; http:// and ws:// for tests. */
  url: string
  /** A list stands for several headers of that name. Each character is a byte (latin1). */
  headers: Record<string, string | string[]>
  tls: { ca?: string; cert?: string; key?: string; servername?: string; rejectUnauthorized: boolean }
  /** http://, https://, socks5:// or socks5h://, with user and password if the proxy wants them. */
  proxy?: string
}

/** An answer is read up to this size; a larger header is an error, a larger error text is cut. */
const MAX_ANSWER = 64 * 1024

export function unreachable(message: string, hint: string): TunnelError {
  return new TunnelError('unreachable', message, hint)
}

/**
 * One time limit for all steps of a connection. When it has passed, or `signal` is aborted, the current step fails and its
 * socket is destroyed.
 */
export class Deadline {
  socket: Socket | undefined
  readonly ms: number
  readonly #cancel: () => void
  readonly #signal: AbortSignal | undefined
  #fail: (error: Error) => void = () => {}
  readonly #failed: Promise<never>

  constructor(timeoutMs: number, what: string, clock: Clock, signal?: AbortSignal) {
    this.ms = timeoutMs
    this.#signal = signal
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#failed.catch(() => {})
    this.#cancel = clock.after(timeoutMs, () => {
      this.#fail(
        new TunnelError(
          'timeout',
          `${what} did not answer within ${timeoutMs / 1000} s`,
          'see whether the API server can be reached: kubectl version',
        ),
      )
      this.socket?.destroy()
    })
    signal?.addEventListener('abort', this.#giveUp)
    if (signal?.aborted) this.#giveUp()
  }

  readonly #giveUp = (): void => {
    this.#fail(this.#signal!.reason as Error)
    this.socket?.destroy()
  }

  guard<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#failed])
  }

  /** Resolves at an event of a socket, and rejects at its error or end. */
  wait(socket: Socket, event: string): Promise<void> {
    this.socket = socket
    return this.guard(
      new Promise<void>((resolve, reject) => {
        const settle = (error?: Error) => {
          socket.off(event, onEvent)
          socket.off('error', settle)
          socket.off('close', onClose)
          if (error) reject(error)
          else resolve()
        }
        const onEvent = () => settle()
        const onClose = () => settle(new Error('the connection was closed'))
        socket.on(event, onEvent)
        socket.on('error', settle)
        socket.on('close', onClose)
      }),
    )
  }

  end(destroy = false): void {
    this.#cancel()
    this.#signal?.removeEventListener('abort', this.#giveUp)
    if (destroy) this.socket?.destroy()
  }
}

export async function direct(
  host: string,
  port: number,
  encrypted: boolean,
  tls: WebSocketTarget['tls'],
  inlet: Inlet,
  deadline: Deadline,
): Promise<Socket> {
  const where = { host, port, autoSelectFamily: true, onread: inlet.onread }
  if (!encrypted) {
    const socket = connectTcp(where)
    await deadline.wait(socket, 'connect')
    return socket
  }
  const socket = connectTls({ ...tlsOptions(host, tls), ...where })
  await deadline.wait(socket, 'secureConnect')
  return socket
}

let systemTrusted = false

/**
 * Makes connections that name no authority trust the authorities of this machine, as kubectl does. A company's authorities
 * are installed there and are not among Node's own.
 */
export function trustSystem(): void {
  if (systemTrusted) return
  systemTrusted = true
  // Node 22 has this function from 22.19 on; importing it by name would end kt on 22.18.
  const { setDefaultCACertificates }: Partial<typeof nodeTls> = nodeTls
  setDefaultCACertificates?.([...getCACertificates('default'), ...getCACertificates('system')])
}

function tlsOptions(host: string, tls: WebSocketTarget['tls']): ConnectionOptions {
  if (tls.ca === undefined) trustSystem()
  return {
    servername: tls.servername ?? (isIP(host) ? '' : host),
    ca: tls.ca,
    cert: tls.cert,
    key: tls.key,
    rejectUnauthorized: tls.rejectUnauthorized,
    ALPNProtocols: ['http/1.1'],
  }
}

export async function secure(
  socket: Socket,
  host: string,
  tls: WebSocketTarget['tls'],
  deadline: Deadline,
): Promise<TLSSocket> {
  socket.on('error', () => {}) // the TLS socket on top of it reports the error
  const secured = connectTls({ ...tlsOptions(host, tls), socket, host })
  await deadline.wait(secured, 'secureConnect')
  return secured
}

export interface Answer {
  status: number
  reason: string
  headers: Map<string, string>
}

export async function readAnswer(socket: Socket, inlet: Inlet, deadline: Deadline): Promise<Answer> {
  const bytes = await readUntil(socket, inlet, deadline, (got) => got.includes('\r\n\r\n'))
  const end = bytes.indexOf('\r\n\r\n')
  inlet.hold(bytes.subarray(end + 4))
  const [first, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const match = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(first)
  if (!match) throw new Error('the answer is not HTTP')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return { status: Number(match[1]), reason: match[2], headers }
}

export async function readBody(socket: Socket, inlet: Inlet, answer: Answer, deadline: Deadline): Promise<string> {
  const wanted = Math.min(Number(answer.headers.get('content-length') ?? 0), MAX_ANSWER)
  try {
    return (await readUntil(socket, inlet, deadline, (got) => got.length >= wanted)).toString()
  } catch {
    return ''
  }
}

/** Resolves with all bytes received once `enough` is true of them. Nobody listens to the socket from then on. */
async function readUntil(
  socket: Socket,
  inlet: Inlet,
  deadline: Deadline,
  enough: (got: Buffer) => boolean,
): Promise<Buffer> {
  let got = Buffer.alloc(0)
  const come = new Promise<Buffer>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      got = Buffer.concat([got, chunk])
      if (enough(got)) {
        inlet.hold()
        resolve(got)
      } else if (got.length > MAX_ANSWER) reject(new Error('the answer does not end'))
    }
    if (enough(got)) resolve(got)
    else inlet.listen(take)
  })
  return Promise.race([
    come,
    deadline.wait(socket, 'close').then(() => Promise.reject(new Error('the connection was closed'))),
  ])
}
