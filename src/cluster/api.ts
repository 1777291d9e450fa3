// Requests to the API server: JSON in and out, watches, errors as ClusterError. Plain node:https with what
// client-node's KubeConfig says of credentials and proxies; its generated classes cost four times the start-up.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { StringDecoder } from 'node:string_decoder'
import type { TLSSocket } from 'node:tls'
import { type Credentials, credentialsOf, explainUnauthorized } from './credentials.ts'
import { clusterError, fromStatus, fromTransport, type Status } from './errors.ts'
import type { Kubeconfig } from './kubeconfig.ts'
import { ClusterError } from './port.ts'

export interface RequestExtras {
  query?: Record<string, string>
  body?: unknown
  /** For PATCH. */
  contentType?: string
  signal?: AbortSignal
  /** Completes an error's sentence: `creating Job kt-shadow-x`. */
  doing?: string
}

export interface ApiAnswer<T> {
  body: T
  /** The API server's clock, ms since 1970; NaN where it did not say. */
  serverTime: number
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  object: T
}

const CONNECT_TIMEOUT_MS = 5_000
// A webhook may hold a request for 30 s at most (admissionregistration.k8s.io/v1, timeoutSeconds).
const ANSWER_TIMEOUT_MS = 35_000

export class Api {
  readonly #load: () => Kubeconfig
  readonly #agents = new Set<Credentials['agent']>()
  #current: Kubeconfig

  /** `load` is called again when credentials were refused: the files may have changed since. Throws as `load` does. */
  constructor(load: () => Kubeconfig) {
    this.#load = load
    this.#current = load()
  }

  get kubeconfig(): Kubeconfig {
    return this.#current
  }

  async get<T>(path: string, query?: Record<string, string>, signal?: AbortSignal): Promise<T> {
    return (await this.send<T>('GET', path, { query, signal })).body
  }

  /** Throws ClusterError for every answer that is not 2xx and for every failure to get one. */
  async send<T>(method: string, path: string, extras: RequestExtras = {}): Promise<ApiAnswer<T>> {
    const response = await this.#open(method, path, extras)
    const text = await readAll(response, this.#server(), this.#current.proxy)
    const body = parseJson(text)
    if (!isOk(response)) throw fromStatus(response.statusCode!, body, extras.doing ?? `${method} ${path}`)
    return { body: body as T, serverTime: serverTime(response) }
  }

  /** As `send`, but a refusal is a value: for questions whose answer is the error (see ranges.ts). */
  async ask(method: string, path: string, extras: RequestExtras = {}): Promise<{ status: number; body: Status }> {
    const response = await this.#open(method, path, extras)
    const text = await readAll(response, this.#server(), this.#current.proxy)
    return { status: response.statusCode!, body: parseJson(text) as Status }
  }

  /**
   * Events of one watch, from what is there now on, until `signal` aborts or the API server ends it (minutes). An
   * ERROR event (410: too old) is thrown.
   */
  async *watch<T>(path: string, query: Record<string, string>, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
    const response = await this.#open('GET', path, { query: { ...query, watch: 'true' }, signal })
    if (!isOk(response)) {
      const text = await readAll(response, this.#server(), this.#current.proxy)
      throw fromStatus(response.statusCode!, parseJson(text), `watching ${path}`)
    }
    try {
      for await (const line of lines(response)) {
        const event = JSON.parse(line) as WatchEvent<T>
        if (event.type === 'ERROR') {
          const status = event.object as Status
          throw fromStatus(status.code ?? 500, status, `watching ${path}`)
        }
        yield event
      }
    } catch (error) {
      if (signal.aborted) throw aborted()
      throw error instanceof ClusterError ? error : fromTransport(error as Error, this.#server(), this.#current.proxy)
    } finally {
      response.destroy()
    }
  }

  /** Fresh credentials for somebody else's connection. */
  credentials(): Promise<Credentials> {
    return credentialsOf(this.#current)
  }

  /** Closes all connections, watches among them. */
  close(): void {
    for (const agent of this.#agents) agent.destroy()
    this.#agents.clear()
  }

  #server(): string {
    return this.#current.identity.server
  }

  // One answer, its head read. A 401 gets a second try with the kubeconfig read anew (a rotated token, a plugin whose
  // cached answer was revoked); so does what a connection that is closed cannot have done: reading, and what was not sent.
  async #open(method: string, path: string, extras: RequestExtras): Promise<IncomingMessage> {
    // Without a name it would be all objects there are, which kt never means.
    if (method === 'DELETE' && /\/$|\/undefined$/.test(path)) throw new Error(`DELETE ${path} names no object`)
    let credentials = await credentialsOf(this.#current)
    let response = await this.#twice(method, path, extras, credentials)
    if (response.statusCode !== 401) return response
    response.resume()
    this.#current = this.#load()
    credentials = await credentialsOf(this.#current)
    response = await this.#twice(method, path, extras, credentials)
    if (response.statusCode !== 401) return response
    const status = parseJson(await readAll(response, this.#server(), this.#current.proxy)) as Status
    throw explainUnauthorized(this.#current, credentials, serverTime(response), status?.message ?? 'Unauthorized')
  }

  async #twice(
    method: string,
    path: string,
    extras: RequestExtras,
    credentials: Credentials,
  ): Promise<IncomingMessage> {
    let failure: Error | undefined
    for (let tries = 0; tries < 2; tries++) {
      try {
        return await this.#once(method, path, extras, credentials)
      } catch (error) {
        if (!(error instanceof NothingDone)) throw error
        failure = error.reason
      }
    }
    throw failure
  }

  #once(method: string, path: string, extras: RequestExtras, credentials: Credentials): Promise<IncomingMessage> {
    const { query, body, signal } = extras
    const { proxy } = this.#current
    const server = this.#server()
    const url = new URL(server)
    url.pathname = url.pathname.replace(/\/$/, '') + path // a server may have a path (Rancher)
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value)
    this.#agents.add(credentials.agent)
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    if (signal?.aborted) {
      reject(aborted())
      return promise
    }
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      ...credentials.tls,
      method,
      agent: credentials.agent,
      headers: {
        ...credentials.headers,
        accept: 'application/json',
        'user-agent': 'kt',
        ...(payload && { 'content-type': extras.contentType ?? 'application/json', 'content-length': payload.length }),
      },
    })
    let timer = setTimeout(() => request.destroy(late('ETIMEDOUT')), CONNECT_TIMEOUT_MS)
    let sent = false
    const connected = () => {
      sent = true
      clearTimeout(timer)
      timer = setTimeout(() => request.destroy(late('ETIMEDOUT')), ANSWER_TIMEOUT_MS)
    }
    const abort = () => request.destroy(aborted())
    signal?.addEventListener('abort', abort)
    request.on('socket', (socket) => {
      // A proxy's agent hands over sockets on which TLS is up already.
      const waiting = socket.connecting || (socket as TLSSocket & { secureConnecting?: boolean }).secureConnecting
      if (!waiting) connected()
      else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', connected)
    })
    request.on('response', (response) => {
      clearTimeout(timer)
      response.once('close', () => signal?.removeEventListener('abort', abort))
      resolve(response)
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      if (error instanceof ClusterError) return reject(error)
      const closed = error.code === 'ECONNRESET' || error.code === 'EPIPE'
      const reason = fromTransport(error, server, proxy)
      reject(closed && (method === 'GET' || !sent) ? new NothingDone(reason) : reason)
    })
    request.end(payload)
    return promise
  }
}

/** The connection was closed, and the request changed nothing. */
class NothingDone extends Error {
  readonly reason: Error

  constructor(reason: Error) {
    super(reason.message)
    this.reason = reason
  }
}

/** The error of what was given up on purpose. */
export function aborted(): ClusterError {
  return clusterError('gone', 'given up, since kt is ending', 'nothing to do')
}

function late(code: string): Error {
  return Object.assign(new Error('no answer in time'), { code })
}

function isOk(response: IncomingMessage): boolean {
  return response.statusCode! >= 200 && response.statusCode! < 300
}

function serverTime(response: IncomingMessage): number {
  return Date.parse(response.headers.date ?? '')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text // a proxy's page, say
  }
}

async function* lines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of stream) {
    const parts = (rest + decoder.write(chunk)).split('\n')
    rest = parts.pop()!
    for (const part of parts) if (part !== '') yield part
  }
}

async function readAll(response: IncomingMessage, server: string, proxy: string | undefined): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer)
  } catch (error) {
    throw error instanceof ClusterError ? error : fromTransport(error as Error, server, proxy)
  }
  return Buffer.concat(chunks).toString()
}
