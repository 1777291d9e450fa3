// HTTP/2 in the clear through the router against node:http2 servers: streams as gRPC uses them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { after, describe, it } from 'node:test'
import { until } from '../support/until.ts'
import { dialPort, dialStream, listen, startRouter, type TestRouter } from './support.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})
const holds = (condition: () => boolean) => until(`${condition}`, condition)

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

async function serve(
  onStream: OnStream,
): Promise<{ port: number; server: Http2Server; sessions: Set<ServerHttp2Session> }> {
  const server = createServer()
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('error', () => {})
    session.on('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    onStream(stream, headers)
  })
  const port = await listen(server)
  closing.push(() => {
    server.close()
    for (const session of sessions) session.destroy()
  })
  return { port, server, sessions }
}

async function through(
  ...args: Parameters<typeof startRouter>
): Promise<{ between: TestRouter; client: ClientHttp2Session }> {
  const between = await startRouter(...args)
  const client = connect(`http://127.0.0.1:${between.port}`)
  client.on('error', () => {})
  closing.push(() => {
    client.destroy()
    between.close()
  })
  return { between, client }
}

/** `once` would reject at an error, which is what some of these wait for. */
const closed = (stream: ClientHttp2Stream) => new Promise<void>((resolve) => stream.on('close', resolve))

interface Answer {
  headers: IncomingHttpHeaders
  trailers: IncomingHttpHeaders | undefined
  body: string
}

async function answer(stream: ClientHttp2Stream): Promise<Answer> {
  let trailers: IncomingHttpHeaders | undefined
  stream.on('trailers', (t) => {
    trailers = t
  })
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  let body = ''
  for await (const chunk of stream) body += chunk
  return { headers, trailers, body }
}

async function ask(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body = ''): Promise<Answer> {
  const stream = client.request({ ':method': 'POST', ...headers })
  stream.end(body)
  return answer(stream)
}

/** Answers each message with `name message`, and gRPC's trailers. */
const echo =
  (name: string): OnStream =>
  (stream, headers) => {
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'x-for': headers['x-forwarded-for'],
        'x-host': headers[':authority'],
        'set-cookie': ['a=1', 'b=2'],
      },
      { waitForTrailers: true },
    )
    let trailers: IncomingHttpHeaders = {}
    stream.on('trailers', (t) => (trailers = t))
    stream.on('wantTrailers', () =>
      stream.sendTrailers({
        'grpc-status': '7',
        'grpc-message': 'no',
        ...(trailers['x-t'] ? { 'x-t': trailers['x-t'] } : {}),
      }),
    )
    stream.on('data', (chunk) => stream.write(`${name} ${chunk};`))
    stream.on('end', () => stream.end())
  }

describe('streams of HTTP/2', () => {
  it('go where their header says, beside each other in one session, with trailers and the caller named', async () => {
    const here = await serve(echo('here'))
    const there = await serve(echo('there'))
    const { between, client } = await through(dialPort(there.port), { version: 'abc', dial: dialStream(here.port) })
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        ask(client, { ':path': `/${i}`, ':authority': 'web.shop', ...(i % 2 ? { 'KT-Version': 'abc' } : {}) }, `m${i}`),
      ),
    )
    for (const [i, { headers, trailers, body }] of answers.entries()) {
      assert.equal(body, `${i % 2 ? 'here' : 'there'} m${i};`)
      assert.equal(headers['x-for'], '10.1.2.3')
      assert.equal(headers['x-host'], 'web.shop')
      assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2'])
      assert.equal(trailers?.['grpc-status'], '7')
    }
    assert.equal(here.sessions.size, 1)
    assert.equal(there.sessions.size, 1)
    client.close()
    await holds(() => between.serving === 0)
    await holds(() => here.sessions.size === 0)
  })

  for (const [what, dial] of [
    ['a socket', dialPort],
    ['another stream', dialStream],
  ] as const)
    it(`stream both ways at once over ${what}, with trailers from the caller too`, async () => {
      const { port } = await serve(echo('x'))
      const { client } = await through(dial(port))
      const stream = client.request({ ':method': 'POST', te: 'trailers' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-t': 'mine' }))
      let trailers: IncomingHttpHeaders = {}
      stream.on('trailers', (t) => (trailers = t))
      for (const message of ['one', 'two', 'three']) {
        stream.write(message)
        const [chunk] = await once(stream, 'data')
        assert.equal(`${chunk}`, `x ${message};`)
      }
      stream.end()
      await closed(stream)
      assert.deepEqual([trailers['grpc-status'], trailers['x-t']], ['7', 'mine'])
    })

  it('trailers that come while the other side is dialled are not lost', async () => {
    const { port } = await serve(echo('x'))
    let dial = () => {}
    const wanted = new Promise<void>((resolve) => (dial = resolve))
    const { client } = await through(async () => {
      await wanted
      return dialPort(port)()
    })
    const stream = client.request({ ':method': 'POST', te: 'trailers' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => {
      stream.sendTrailers({ 'x-t': 'mine' })
      client.ping(() => dial())
    })
    stream.end('one')
    assert.equal((await answer(stream)).trailers?.['x-t'], 'mine')
  })

  it('answers without a body, and informational ones', async () => {
    const { port } = await serve((stream, headers) => {
      if (headers[':path'] === '/hints') stream.additionalHeaders({ ':status': 103, link: '</a>' })
      if (headers[':path'] === '/hints') stream.respond({ ':status': 204 }, { endStream: true })
      else stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })
    })
    const { client } = await through(dialPort(port))
    const only = await ask(client, { ':path': '/trailers-only' })
    assert.deepEqual([only.headers['grpc-status'], only.body], ['5', ''])
    const stream = client.request({ ':path': '/hints' })
    const hint = once(stream, 'headers')
    const got = await answer(stream)
    assert.equal((await hint)[0][':status'], 103)
    assert.equal(got.headers[':status'], 204)
    const head = await answer(client.request({ ':method': 'HEAD', ':path': '/' }))
    assert.equal(head.headers[':status'], 200)
  })

  it('resets pass both ways with their code', async () => {
    let seen: number | undefined
    const { port } = await serve((stream, headers) => {
      if (headers[':path'] === '/reset') stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      else {
        stream.respond({ ':status': 200 })
        stream.write('begun')
        stream.on('close', () => (seen = stream.rstCode))
        if (headers[':path'] === '/midway') stream.on('data', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR))
      }
    })
    const { client } = await through(dialPort(port))
    const reset = client.request({ ':path': '/reset' })
    reset.on('error', () => {})
    await closed(reset)
    assert.equal(reset.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM)

    const midway = client.request({ ':path': '/midway', ':method': 'POST' })
    midway.on('error', () => {})
    await once(midway, 'data')
    midway.write('now')
    await closed(midway.resume())
    assert.equal(midway.rstCode, constants.NGHTTP2_INTERNAL_ERROR)

    seen = undefined
    const cancelled = client.request({ ':path': '/cancel', ':method': 'POST' })
    cancelled.on('error', () => {})
    await once(cancelled, 'data')
    cancelled.close(constants.NGHTTP2_CANCEL)
    await holds(() => seen !== undefined)
    assert.equal(seen, constants.NGHTTP2_CANCEL)
  })

  it('pings are answered, and a server that says GOAWAY gets a new session for the next stream', async () => {
    const { port, sessions } = await serve(echo('x'))
    const { client } = await through(dialPort(port))
    assert.equal((await ask(client, {}, 'a')).body, 'x a;')
    await new Promise<void>((resolve, reject) => client.ping((error) => (error ? reject(error) : resolve())))
    const [first] = sessions
    first.close()
    await holds(() => !sessions.has(first))
    assert.equal((await ask(client, {}, 'b')).body, 'x b;')
    for (const session of sessions) session.destroy()
    await holds(() => sessions.size === 0)
    assert.equal((await ask(client, {}, 'c')).body, 'x c;')
  })

  it('a version that is refused is a 502, for gRPC UNAVAILABLE; one that is away goes to the original', async () => {
    const { port } = await serve(echo('there'))
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const { client } = await through(
      dialPort(port),
      { version: 'off', dial: () => Promise.reject(refused) },
      { version: 'away', dial: () => Promise.reject(new Error('no answer')) },
    )
    const plain = await ask(client, { 'kt-version': 'off' }, 'a')
    assert.equal(plain.headers[':status'], 502)
    assert.match(plain.body, /^kt: nothing accepts connections where requests with "kt-version: off"/)
    const grpc = await ask(client, { 'kt-version': 'off', 'content-type': 'application/grpc+proto' }, 'a')
    assert.equal(grpc.headers['grpc-status'], '14')
    assert.equal((await ask(client, { 'kt-version': 'away' }, 'a')).body, 'there a;')
    assert.equal((await ask(client, { 'kt-version': 'away' }, 'b')).body, 'there b;')
  })

  it('a version whose owner falls silent is pinged, and not waited for', async () => {
    const there = await serve(echo('there'))
    const here = await serve(echo('here'))
    // Passes bytes until it is told not to.
    let asleep = false
    const line = createTcpServer((socket) => {
      const onward = connectTcp(here.port, '127.0.0.1')
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ])
        from.on('error', () => {}).on('data', (chunk) => asleep || to.write(chunk))
    })
    const port = await listen(line)
    closing.push(() => line.close())
    const { between, client } = await through(dialPort(there.port), { version: 'abc', dial: dialPort(port) })
    assert.equal((await ask(client, { 'kt-version': 'abc' }, 'a')).body, 'here a;')
    between.pass(1000)
    assert.equal((await ask(client, { 'kt-version': 'abc' }, 'b')).body, 'here b;')
    asleep = true
    between.pass(1000)
    assert.equal((await ask(client, { 'kt-version': 'abc' }, 'c')).body, 'there c;')
    assert.equal((await ask(client, { 'kt-version': 'abc' }, 'd')).body, 'there d;')
  })

  it('when the agent is to end, open streams finish and no new ones are taken', async () => {
    const { port } = await serve(echo('x'))
    const { between, client } = await through(dialPort(port))
    const stream = client.request({ ':method': 'POST' })
    stream.write('one')
    await once(stream, 'data')
    between.end()
    await once(client, 'goaway')
    stream.end('two')
    const [chunk] = await once(stream, 'data')
    assert.equal(`${chunk}`, 'x two;')
    await holds(() => between.serving === 0)
  })

  it('a side that speaks HTTP/1 only is told as such, and the session goes on', async () => {
    const { createServer: createHttp1Server } = await import('node:http')
    const one = createHttp1Server((_req, res) => res.end('1'))
    const onePort = await listen(one)
    closing.push(() => one.close())
    const { port } = await serve(echo('two'))
    const { client } = await through(dialPort(port), { version: 'one', dial: dialPort(onePort) })
    const stream = client.request({ 'kt-version': 'one' })
    stream.on('error', () => {})
    await closed(stream)
    assert.notEqual(stream.rstCode, constants.NGHTTP2_NO_ERROR)
    assert.equal((await ask(client, {}, 'a')).body, 'two a;')
  })

  it('large bodies stream both ways in bounded memory', async () => {
    const size = 192 * 1024 * 1024
    const piece = Buffer.alloc(128 * 1024, 'kt')
    const { port } = await serve((stream) => {
      stream.respond({ ':status': 200 })
      stream.pipe(stream)
    })
    const { client } = await through(dialPort(port))
    const stream = client.request({ ':method': 'POST' })
    const before = process.memoryUsage().rss
    let peak = 0
    let got = 0
    const reading = (async () => {
      for await (const chunk of stream) {
        got += (chunk as Buffer).length
        peak = Math.max(peak, process.memoryUsage().rss)
      }
    })()
    await pipeline(
      (async function* () {
        for (let at = 0; at < size; at += piece.length) yield piece
      })(),
      async (source) => {
        for await (const chunk of source) if (!stream.write(chunk)) await once(stream, 'drain')
        stream.end()
      },
    )
    await reading
    assert.equal(got, size)
    // Some of it is memory that is free and was not given back yet.
    assert.ok(peak - before < 128 * 1024 * 1024, `grew by ${Math.round((peak - before) / 1e6)} MB`)
  })

  it('a client that goes takes its sessions with the sides along', async () => {
    const { port, sessions } = await serve((stream) => stream.respond({ ':status': 200 }))
    const { between, client } = await through(dialPort(port))
    const stream = client.request({})
    stream.on('error', () => {})
    await once(stream, 'response')
    assert.equal(sessions.size, 1)
    client.destroy()
    await holds(() => sessions.size === 0)
    await holds(() => between.serving === 0)
  })
})
