// The dashboard's HTTP server on loopback: the page's files, one stream of server-sent events, and a few actions.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { builtFile } from '../base/installation.ts'
import { listening } from '../base/listen.ts'
import { ControlFailure } from '../control/client.ts'
import { perform } from './actions.ts'
import { Feed } from './feed.ts'
import { Forwards, type KtCommand } from './forwards.ts'
import { Guard, type Refusal } from './guard.ts'
import { HolderLooks } from './holder-look.ts'
import type { Messages, Topic } from './model.ts'

const files: Record<string, [file: string, type: string]> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
}
// A page that does not read for so long is closed; it comes back and starts anew.
const MOST_UNREAD = 8 << 20
const MOST_BODY = 4096
// Proxies and browsers keep a silent stream for less than a minute or so.
const KEEP_ALIVE_MS = 15_000

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
}

export interface DashboardOptions {
  /** 0: any that is free. */
  port: number
  /** The engine's control socket. */
  socket: string
  /** Whose exchanges, meshes and runs are shown, and where they are looked for. */
  uid: number
  env: NodeJS.ProcessEnv
  /** The command line, and the flags that choose the cluster. */
  kt: KtCommand
}

export interface Dashboard {
  /** Opens the page once, within a minute: each call makes another one. */
  address(): string
  close(): void
}

/** Listens on 127.0.0.1. Rejects with the system's error when the port is taken. */
export async function serveDashboard(options: DashboardOptions): Promise<Dashboard> {
  const content = new Map(
    Object.entries(files).map(([path, [file, type]]) => [path, { type, body: builtFile(`dashboard/${file}`) }]),
  )
  const pages = new Set<ServerResponse>()
  const looks = new HolderLooks(options)
  const forwards = new Forwards(options.kt)
  const feed = new Feed({
    socket: options.socket,
    look: () => looks.look(),
    forwards: () => forwards.list(),
    now: Date.now,
    watched: () => pages.size > 0,
    tell: (topic, message) => {
      const text = eventText(topic, message)
      for (const page of pages) send(page, text)
    },
  })
  const server = http.createServer((request, response) => {
    for (const side of [request, response]) side.on('error', () => {}) // the browser has gone
    answer(request, response).catch((error: Error) => refuse(response, { status: 400, message: error.message }))
  })
  await listening(server, { port: options.port, host: '127.0.0.1' })
  const { port } = server.address() as AddressInfo
  const guard = new Guard(port, () => performance.now())
  const alive = setInterval(() => {
    for (const page of pages) send(page, ': \n\n')
  }, KEEP_ALIVE_MS)
  feed.start()

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? ''
    const wrongHost = guard.wrongHost(request.headers)
    if (wrongHost) return refuse(response, wrongHost)
    const { pathname } = new URL(request.url ?? '/', 'http://dashboard')
    // The page's files hold no secret: they are the same for everybody.
    const file = content.get(pathname)
    if (method === 'GET' && file) {
      response.writeHead(200, { ...headers, 'content-type': file.type }).end(file.body)
      return
    }
    const foreign = guard.refusesOrigin(method, request.headers)
    if (foreign) return refuse(response, foreign)
    if (method === 'POST' && pathname === '/api/enter') return enter(response, await readBody(request))
    const refusal = guard.refusesSession(request.headers)
    if (refusal) return refuse(response, refusal)
    if (method === 'GET' && pathname === '/events') {
      stream(response)
    } else if (method === 'POST' && pathname.startsWith('/api/')) {
      const outcome = await outcomeOf(() =>
        readBody(request).then((body) => perform({ feed, forwards, looks, ...options }, pathname.slice(5), body)),
      )
      answerJson(response, outcome)
    } else {
      response.writeHead(404, headers).end('there is nothing here\n')
    }
  }

  /** Gives the session's secret to whoever has the token of a printed address. */
  function enter(response: ServerResponse, body: unknown): void {
    const { token } = (body ?? {}) as { token?: unknown }
    const session = typeof token === 'string' ? guard.exchange(token) : undefined
    const message =
      'this address was used before, or is older than a minute: run `kt dashboard` and open what it prints'
    if (session === undefined) refuse(response, { status: 401, message })
    else answerJson(response, { session })
  }

  function stream(response: ServerResponse): void {
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
    const snapshot = feed.snapshot()
    for (const topic of Object.keys(snapshot) as Topic[]) response.write(eventText(topic, snapshot[topic]))
    pages.add(response)
    feed.wake()
    response.on('close', () => {
      pages.delete(response)
      // Bodies are read only while somebody looks who wanted them.
      if (pages.size === 0) looks.bodies = false
    })
  }

  return {
    // A fragment is not sent to a server, so it is in no log on the way.
    address: () => `http://127.0.0.1:${port}/#token=${guard.issue()}`,
    close: () => {
      clearInterval(alive)
      feed.close()
      forwards.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

/** https://html.spec.whatwg.org/multipage/server-sent-events.html */
function eventText<T extends Topic>(topic: T, message: Messages[T]): string {
  return `event: ${topic}\ndata: ${JSON.stringify(message)}\n\n`
}

function send(page: ServerResponse, text: string): void {
  if (page.writableLength > MOST_UNREAD) page.destroy()
  else page.write(text)
}

function refuse(response: ServerResponse, { status, message }: Refusal): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, { ...headers, 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`)
}

function answerJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MOST_BODY) throw new Error('the request is too long')
  }
  return JSON.parse(text)
}

async function outcomeOf(act: () => Promise<unknown>): Promise<object> {
  try {
    return { ok: true, result: await act() }
  } catch (error) {
    const hint = error instanceof ControlFailure ? error.hint : 'reload the page and try again'
    return { ok: false, message: (error as Error).message, hint }
  }
}
