// One HTTP request to the API server and its answer, with limits on how long it may take. Errors are those of sockets, and
// Cut where the connection ended.
import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import type { ClusterError } from './calls.ts'
import type { Credentials } from './credentials.ts'
import { clusterError } from './errors.ts'

export interface RequestExtras {
  query?: Record<string, string>
  body?: unknown
  /** For PATCH. */
  contentType?: string
  signal?: AbortSignal
  /** Completes an error's sentence: `creating Job kt-shadow-x`. */
  doing?: string
}

/** The connection ended before the answer had come whole. */
export class Cut extends Error {
  /** False where the API server cannot have read the request. */
  readonly sent: boolean
  readonly reason: Error

  constructor(reason: Error, sent: boolean) {
    super(reason.message)
    this.reason = reason
    this.sent = sent
  }
}

const CONNECT_TIMEOUT_MS = 5_000
// A webhook may hold a request for 30 s at most (admissionregistration.k8s.io/v1, timeoutSeconds).
const ANSWER_TIMEOUT_MS = 35_000
// A list of all pods of a very large cluster has some ten megabytes.
const MOST_BODY = 256 << 20

/** Resolves when the head of the answer is there. */
export function requestOnce(
  { server, agent, headers, tls, clock }: Credentials & { server: string; agent: Agent; clock: Clock },
  method: string,
  path: string,
  { query, body, contentType, signal }: RequestExtras,
): Promise<IncomingMessage> {
  const url = new URL(server)
  url.pathname = url.pathname.replace(/\/$/, '') + path // a server may have a path (Rancher)
  for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value)
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  if (signal?.aborted) {
    reject(aborted())
    return promise
  }
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    ...tls,
    method,
    agent,
    headers: {
      ...headers,
      accept: 'application/json',
      'user-agent': 'kt',
      ...(payload && { 'content-type': contentType ?? 'application/json', 'content-length': payload.length }),
    },
  })
  let cancel = clock.after(CONNECT_TIMEOUT_MS, () => request.destroy(late()))
  let sent = false
  const connected = () => {
    sent = true
    cancel()
    cancel = clock.after(ANSWER_TIMEOUT_MS, () => request.destroy(late()))
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
    cancel()
    response.once('close', () => signal?.removeEventListener('abort', abort))
    resolve(response)
  })
  request.on('error', (error: NodeJS.ErrnoException) => {
    cancel()
    signal?.removeEventListener('abort', abort)
    reject(isCut(error) ? new Cut(error, sent) : error)
  })
  request.end(payload)
  return promise
}

/** JSON as a value, anything else (a proxy's page) as text. Rejects with Cut where it ends too early. */
export async function readBody(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MOST_BODY) throw new Error('an answer that does not end')
      chunks.push(chunk)
    }
  } catch (error) {
    throw isCut(error as NodeJS.ErrnoException) ? new Cut(error as Error, true) : error
  }
  const text = Buffer.concat(chunks).toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The error of what was given up on purpose. */
export function aborted(): ClusterError {
  return clusterError('gone', 'given up, since kt is ending', 'nothing to do')
}

function isCut({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE'
}

function late(): Error {
  return Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })
}
