// HTTP/1.x through the router against node:http servers.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http'
import { connect, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { WebSocket, WebSocketServer } from 'ws'
import { until } from '../support/until.ts'
import { dialPort, exchange, listen, startRouter, type TestRouter } from './support.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})

async function serveRequests(listener: RequestListener): Promise<{ port: number; server: Server }> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener)
  const port = await listen(server)
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port, server }
}

async function serveBytes(server: TcpServer): Promise<number> {
  const port = await listen(server)
  closing.push(() => server.close())
  return port
}

async function router(...args: Parameters<typeof startRouter>): Promise<TestRouter> {
  const started = await startRouter(...args)
  closing.push(() => started.close())
  return started
}

const holds = (condition: () => boolean) => until(`${condition}`, condition)

/** Says its name, and what it got. */
const echo =
  (name: string): RequestListener =>
  async (req, res) => {
    const body = await text(req)
    res.setHeader('X-Side', name)
    res.end(JSON.stringify({ name, method: req.method, url: req.url, headers: req.rawHeaders, body }))
  }

async function text(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

async function twoSides() {
  const here = await serveRequests(echo('here'))
  const there = await serveRequests(echo('there'))
  const between = await router(dialPort(there.port), { version: 'abc', dial: dialPort(here.port) })
  return { here, there, between }
}

async function ask(port: number, headers: Record<string, string>, agent?: Agent, body?: string) {
  const req = request({
    port,
    host: '127.0.0.1',
    headers,
    agent,
    method: body === undefined ? 'GET' : 'POST',
    path: '/x?y',
  })
  req.end(body)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  return { status: res.statusCode, headers: res.headers, body: await text(res) }
}

const named = (body: string): string => JSON.parse(body).name

describe('requests over HTTP/1.1', () => {
  it('go where their header says, one by one on one connection', async () => {
    const { between } = await twoSides()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const sides: string[] = []
    for (const version of ['abc', 'other', 'abc', undefined, 'ABC', 'abc'])
      sides.push(named((await ask(between.port, version ? { 'KT-VERSION': version } : {}, agent)).body))
    agent.destroy()
    assert.deepEqual(sides, ['here', 'there', 'here', 'there', 'there', 'here'])
    await holds(() => between.serving === 0)
  })

  it('arrive as they were sent, with the caller in X-Forwarded-For', async () => {
    const { between } = await twoSides()
    const { body } = await ask(
      between.port,
      { Host: 'web.shop:8080', 'X-a': '1', 'x-forwarded-for': '9.9.9.9' },
      undefined,
      'hello',
    )
    const got = JSON.parse(body)
    assert.equal(got.body, 'hello')
    assert.equal(got.url, '/x?y')
    assert.deepEqual(got.headers.slice(0, 6), [
      'Host',
      'web.shop:8080',
      'X-a',
      '1',
      'x-forwarded-for',
      '9.9.9.9, 10.1.2.3',
    ])
  })

  it('that are pipelined are answered in order, each from its side, however the bytes are cut', async () => {
    const { between } = await twoSides()
    const one = (version: string, path: string, last = false) =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nkt-version: ${version}\r\nTransfer-Encoding: chunked\r\n${last ? 'Connection: close\r\n' : ''}\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n`
    const bytes = Buffer.from(
      one('abc', '/1') + one('no', '/2') + one('abc', '/3') + one('x', '/4') + one('abc', '/5', true),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 12 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
        const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
        const answers = await exchange(
          between.port,
          pieces.filter((p) => p.length > 0),
          false,
        )
        const seen = [...answers.matchAll(/"name":"(\w+)","method":"POST","url":"([^"]+)".*?"body":"(\w*)"/g)]
        assert.deepEqual(
          seen.map(([, name, url, body]) => [name, url, body]),
          [
            ['here', '/1', 'abc'],
            ['there', '/2', 'abc'],
            ['here', '/3', 'abc'],
            ['there', '/4', 'abc'],
            ['here', '/5', 'abc'],
          ],
        )
      }),
      { numRuns: 40 },
    )
  })

  it('of any kind come back the same as without a router', async () => {
    const { port } = await serveRequests(async (req, res) => {
      const body = await text(req)
      const how = Number(req.headers['x-how'])
      res.statusCode = Number(req.headers['x-status'])
      if (how === 1) res.setHeader('Content-Length', body.length)
      const trailers = how === 2 && res.statusCode !== 204 && res.statusCode !== 304
      if (trailers) res.setHeader('Trailer', 'X-T')
      if (how === 3) res.shouldKeepAlive = false
      res.setHeader('X-Got', createHash('sha256').update(body).digest('hex'))
      if (how === 0) res.flushHeaders()
      for (let i = 0; i < body.length; i += 1000) res.write(body.slice(i, i + 1000))
      if (trailers) res.addTrailers({ 'X-T': 'end' })
      res.end()
    })
    const between = await router(dialPort(port))
    const run = async (
      to: number,
      agent: Agent,
      r: { method: string; body: string; how: number; status: number; length: boolean },
    ) => {
      const headers: Record<string, string> = { 'x-how': `${r.how}`, 'x-status': `${r.status}` }
      if (r.length) headers['content-length'] = `${r.body.length}`
      else headers['transfer-encoding'] = 'chunked'
      const req = request({ port: to, host: '127.0.0.1', agent, method: r.method, headers })
      req.end(r.body)
      const [res] = (await once(req, 'response')) as [IncomingMessage]
      const body = await text(res)
      return [res.statusCode, res.headers['x-got'], res.headers.connection, body, res.trailers]
    }
    const directAgent = new Agent({ keepAlive: true, maxSockets: 1 })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          method: fc.constantFrom('POST', 'PUT', 'PATCH', 'DELETE'),
          body: fc.string({ unit: 'grapheme-ascii', maxLength: 5000, size: 'max' }),
          how: fc.nat(3),
          status: fc.constantFrom(200, 201, 204, 304, 404, 500),
          length: fc.boolean(),
        }),
        async (r) => assert.deepEqual(await run(between.port, agent, r), await run(port, directAgent, r)),
      ),
      { numRuns: 60 },
    )
    agent.destroy()
    directAgent.destroy()
  })

  it('HEAD, and 100-continue', async () => {
    const { port, server } = await serveRequests(echo('x'))
    const continued: string[] = []
    server.on('checkContinue', (req, res) => {
      continued.push(req.url!)
      res.writeContinue()
      echo('x')(req, res)
    })
    const between = await router(dialPort(port))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const req = request({ port: between.port, host: '127.0.0.1', agent, method: 'HEAD' })
    req.end()
    const [head] = (await once(req, 'response')) as [IncomingMessage]
    assert.equal(await text(head), '')
    const post = request({
      port: between.port,
      host: '127.0.0.1',
      agent,
      method: 'POST',
      path: '/c',
      headers: { Expect: '100-continue' },
    })
    post.flushHeaders()
    await once(post, 'continue')
    post.end('late')
    const [res] = (await once(post, 'response')) as [IncomingMessage]
    assert.equal(JSON.parse(await text(res)).body, 'late')
    assert.deepEqual(continued, ['/c'])
    agent.destroy()
  })

  it('a request that is cut, or an answer, looks cut at the other side', async () => {
    let aborted = 0
    const { port } = await serveRequests((req, res) => {
      res.on('close', () => (aborted += res.writableFinished ? 0 : 1))
      req.on('error', () => {})
      req.resume()
      if (req.url === '/half')
        res.writeHead(200, { 'Content-Length': 100 }).write('half', () => res.socket!.resetAndDestroy())
      if (req.url === '/chunk') res.write('half', () => res.socket!.destroy())
    })
    const between = await router(dialPort(port))
    for (const path of ['/half', '/chunk']) {
      const req = request({ port: between.port, host: '127.0.0.1', path })
      req.on('error', () => {}).end()
      // A reset may overtake the half answer.
      await assert.rejects(async () => {
        const [res] = (await once(req, 'response')) as [IncomingMessage]
        await text(res)
      }, /aborted|ECONNRESET/)
    }
    aborted = 0
    const upload = request({
      port: between.port,
      host: '127.0.0.1',
      path: '/up',
      method: 'POST',
      headers: { 'Content-Length': 100 },
    })
    upload.on('error', () => {})
    upload.write('half')
    const waiting = request({ port: between.port, host: '127.0.0.1', path: '/wait' })
    waiting.on('error', () => {})
    waiting.end()
    await holds(() => between.serving === 2)
    upload.destroy()
    waiting.destroy()
    await holds(() => aborted >= 2)
    await holds(() => between.serving === 0)
  })

  it('an answer that comes before the end of its request, on a connection that goes on', async () => {
    const { port } = await serveRequests(async (req, res) => {
      if (req.url === '/early') res.end('early')
      await text(req)
      if (req.url !== '/early') res.end('later')
    })
    const between = await router(dialPort(port))
    const socket = connect(between.port, '127.0.0.1')
    let got = ''
    socket.on('data', (chunk) => (got += chunk))
    socket.write('POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345')
    await holds(() => got.includes('early'))
    socket.write('67890GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
    await holds(() => got.includes('later'))
    socket.destroy()
  })

  it('is not answered twice when the server closes an idle connection: the next request gets a new one', async () => {
    const { port, server } = await serveRequests(echo('x'))
    const { port: other } = await serveRequests(echo('y'))
    const between = await router(dialPort(port), { version: 'v', dial: dialPort(other) })
    const socket = connect(between.port, '127.0.0.1')
    let got = ''
    socket.on('data', (chunk) => (got += chunk))
    const get = (version: string) => socket.write(`GET / HTTP/1.1\r\nHost: a\r\nkt-version: ${version}\r\n\r\n`)
    get('v')
    await holds(() => got.includes('"y"'))
    get('')
    await holds(() => got.includes('"x"'))
    got = ''
    server.closeAllConnections()
    get('')
    await holds(() => got.includes('"x"'))
    socket.destroy()
  })

  it('tells the client when its only server closes an idle connection', async () => {
    const { port, server } = await serveRequests(echo('x'))
    const between = await router(dialPort(port))
    const socket = connect(between.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'data')
    server.closeIdleConnections()
    await once(socket, 'end')
  })

  it('a version whose owner refuses is told so; one whose owner is away goes to the original', async () => {
    const { between } = await twoSides()
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    between.routes.push({ version: 'off', dial: () => Promise.reject(refused) })
    between.routes.push({ version: 'away*', dial: () => Promise.reject(new Error('no answer')) })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const answer = await ask(between.port, { 'kt-version': 'off' }, agent)
    assert.equal(answer.status, 502)
    assert.match(answer.body, /^kt: nothing accepts connections where requests with "kt-version: off" are to go\n$/)
    assert.equal(named((await ask(between.port, { 'kt-version': 'away1' }, agent)).body), 'there')
    assert.equal((await ask(between.port, { 'kt-version': 'off' }, agent, 'body')).status, 502)
    agent.destroy()
  })

  it('a version whose owner falls silent is not waited for on a kept connection', async () => {
    const { between, here } = await twoSides()
    let away = false
    const dial = dialPort(here.port)
    const [route] = between.routes
    route.dial = () => (away ? Promise.reject(new Error('no answer')) : dial())
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    assert.equal(named((await ask(between.port, { 'kt-version': 'abc' }, agent)).body), 'here')
    away = true
    assert.equal(named((await ask(between.port, { 'kt-version': 'abc' }, agent)).body), 'here')
    between.pass(1000)
    assert.equal(named((await ask(between.port, { 'kt-version': 'abc' }, agent)).body), 'there')
    away = false
    assert.equal(named((await ask(between.port, { 'kt-version': 'abc' }, agent)).body), 'here')
    agent.destroy()
  })

  it('when the agent is to end, answers say that the connection closes, and idle ones end', async () => {
    const { between } = await twoSides()
    const idle = connect(between.port, '127.0.0.1')
    idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(idle, 'data')
    const busy = new Agent({ keepAlive: true, maxSockets: 1 })
    assert.equal((await ask(between.port, {}, busy)).headers.connection, 'keep-alive')
    between.end()
    const last = await ask(between.port, {}, busy)
    assert.equal(last.headers.connection, 'close')
    assert.equal(named(last.body), 'there')
    await once(idle.resume(), 'end')
    await holds(() => between.serving === 0)
  })

  it('closed ports of the original are a 502', async () => {
    const between = await router(dialPort(1))
    assert.equal((await ask(between.port, {})).status, 502)
  })

  it('that smuggle are refused and reach nobody', async () => {
    const requests: string[] = []
    const { port } = await serveRequests((req, res) => {
      requests.push(req.url!)
      req.on('error', () => {})
      req.on('end', () => res.end()).resume()
    })
    const between = await router(dialPort(port))
    const hidden = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'
    for (const [status, head, body] of [
      [400, 'Content-Length: 3\r\nTransfer-Encoding: chunked', `0\r\n\r\n${hidden}`],
      [400, 'Content-Length: 0\r\nContent-Length: 40', hidden],
      [400, 'Transfer-Encoding : chunked', hidden],
      [400, ' Content-Length: 5', hidden],
      [400, 'A: b\rTransfer-Encoding: chunked', hidden],
      [501, 'Transfer-Encoding: xchunked', hidden],
      [400, 'Transfer-Encoding: chunked', `0\n\n${hidden}`],
      [400, 'Transfer-Encoding: chunked', `3;\rabc\r\n${hidden}`],
      [431, `A: ${'x'.repeat(70_000)}`, ''],
    ] as [number, string, string][]) {
      const got = await exchange(between.port, [`POST / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${body}`], false)
      assert.match(got, new RegExp(`^HTTP/1.1 ${status} `), head)
      assert.equal(got.match(/HTTP\/1.1/g)!.length, 1)
      assert.match(got, /Connection: close/)
    }
    assert.ok(!requests.includes('/hidden'))
  })

  it('whose heads do not end are refused after a while, and give back what they held', async () => {
    const { port } = await serveRequests(echo('x'))
    const between = await router(dialPort(port))
    between.headMs = 50
    for (let round = 0; round < 20; round++) {
      const begun = `GET / HTTP/1.1\r\nHost: a\r\nA: ${'x'.repeat(60_000)}`
      const got = await Promise.all([1, 2].map(() => exchange(between.port, [begun], false)))
      for (const one of got) assert.match(one, /^HTTP\/1.1 408 Request Timeout\r\n/)
    }
    await holds(() => between.serving === 0)
    between.headMs = 10_000
    assert.equal((await ask(between.port, {})).status, 200)
  })

  it('whose heads would hold too much memory together are refused, and the others are served', async () => {
    const { port } = await serveRequests(echo('x'))
    const between = await router(dialPort(port))
    const sockets = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const socket = connect(between.port, '127.0.0.1')
        await once(socket, 'connect')
        socket.write(`GET / HTTP/1.1\r\nHost: a\r\nA: ${'x'.repeat(60_000)}`)
        let got = ''
        socket.on('data', (chunk) => (got += chunk))
        return { socket, got: () => got }
      }),
    )
    const refused = () => sockets.filter(({ got }) => got().startsWith('HTTP/1.1 503 Service Unavailable'))
    await holds(() => refused().length === 4)
    const waiting = sockets.filter((one) => !refused().includes(one))
    for (const { socket, got } of waiting) {
      socket.write('\r\n\r\n')
      // Node's server takes no head of that size, so it is the one that answers.
      await holds(() => got().startsWith('HTTP/1.1 431 '))
    }
    for (const { socket } of sockets) socket.destroy()
  })

  it('a caller that resets while its connection is dialled ends the dialling', async () => {
    const between = await router(
      (gone?: AbortSignal) =>
        new Promise((_, reject) => gone!.addEventListener('abort', () => reject(new Error('given up')))),
    )
    const socket = connect(between.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await holds(() => between.serving === 1)
    socket.resetAndDestroy()
    await holds(() => between.serving === 0)
  })

  it('a caller that resets while its version is dialled is not asked for there', async () => {
    let asked = 0
    const { port } = await serveRequests((_req, res) => res.end(`${asked++}`))
    let dial = () => {}
    let dialling = false
    const between = await router(dialPort(port), {
      version: 'abc',
      async dial() {
        dialling = true
        await new Promise<void>((resolve) => (dial = resolve))
        return dialPort(port)()
      },
    })
    const socket = connect(between.port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nkt-version: abc\r\n\r\n')
    await holds(() => dialling)
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.resetAndDestroy()
    await closed
    await new Promise((resolve) => setImmediate(resolve))
    dial()
    await holds(() => between.serving === 0)
    assert.equal(asked, 0)
  })

  it('the server that talks nonsense is a 502', async () => {
    const port = await serveBytes(
      createTcpServer((socket) => socket.on('error', () => {}).end('220 mail ready\r\n\r\n')),
    )
    const between = await router(dialPort(port))
    assert.equal((await ask(between.port, {})).status, 502)
  })
})

describe('WebSockets', () => {
  it('go where their header says, and messages both ways', async () => {
    const start = async (name: string) => {
      const server = createServer()
      const sockets = new WebSocketServer({ server })
      sockets.on('connection', (socket) => {
        socket.on('message', (data, binary) => socket.send(binary ? data : `${name} ${data}`))
      })
      const port = await listen(server)
      closing.push(() => {
        sockets.close()
        server.close()
        server.closeAllConnections()
      })
      return port
    }
    const between = await router(dialPort(await start('there')), {
      version: 'abc',
      dial: dialPort(await start('here')),
    })
    for (const [version, name] of [
      ['abc', 'here'],
      ['no', 'there'],
    ]) {
      const socket = new WebSocket(`ws://127.0.0.1:${between.port}/`, { headers: { 'kt-version': version } })
      await once(socket, 'open')
      socket.send('hello')
      const [message] = await once(socket, 'message')
      assert.equal(`${message}`, `${name} hello`)
      const large = Buffer.alloc(3_000_000, 7)
      socket.send(large)
      const [back] = await once(socket, 'message')
      assert.ok(large.equals(back))
      socket.close(4000)
      const [code] = await once(socket, 'close')
      assert.equal(code, 4000)
    }
    await holds(() => between.serving === 0)
  })
})

describe('what is not HTTP', () => {
  it('passes to the original, also when the server speaks first', async () => {
    const banner = await serveBytes(
      createTcpServer((socket) => {
        socket.write('220 ready\r\n')
        socket.on('data', (line) => socket.end(`250 ${line}`))
      }),
    )
    const mail = await router(dialPort(banner))
    const socket = connect({ port: mail.port, host: '127.0.0.1' })
    const [greeting] = await once(socket, 'data')
    assert.equal(`${greeting}`, '220 ready\r\n')
    socket.write('HELO x\r\n')
    const [answer] = await once(socket, 'data')
    assert.equal(`${answer}`, '250 HELO x\r\n')

    const upper = await serveBytes(
      createTcpServer({ allowHalfOpen: true }, async (peer) => {
        const chunks: Buffer[] = []
        for await (const chunk of peer.iterator({ destroyOnReturn: false })) chunks.push(chunk)
        peer.end(Buffer.concat(chunks).toString().toUpperCase())
      }),
    )
    const bytes = await router(dialPort(upper))
    assert.equal(await exchange(bytes.port, ['PING\r\nrest']), 'PING\r\nREST')
    assert.equal(await exchange(bytes.port, ['', 'ge', 't /x']), 'GET /X')
  })

  it('an HTTP client that connects early and asks late is routed all the same', async () => {
    const { between } = await twoSides()
    const socket = connect(between.port, '127.0.0.1')
    await new Promise((resolve) => setTimeout(resolve, 700))
    let got = ''
    socket.on('data', (chunk) => (got += chunk))
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nkt-version: abc\r\n\r\n')
    await holds(() => got.includes('"here"'))
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await holds(() => got.includes('"there"'))
    socket.destroy()
    await holds(() => between.serving === 0)
  })

  it('an HTTP client that connects early does not wait for an original that does not answer', async () => {
    const here = await serveRequests(echo('here'))
    let late: (socket: Socket) => void = () => {}
    const dialling = new Promise<Socket>((resolve) => {
      late = resolve
    })
    let dials = 0
    const between = await router(
      () => {
        dials++
        return dialling
      },
      { version: 'abc', dial: dialPort(here.port) },
    )
    const socket = connect(between.port, '127.0.0.1')
    await holds(() => dials === 1)
    let got = ''
    socket.on('data', (chunk) => (got += chunk))
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nkt-version: abc\r\n\r\n')
    await holds(() => got.includes('"here"'))
    // Nobody needs the original any more when it answers at last.
    let over = false
    const there = await serveBytes(
      createTcpServer((peer) => peer.on('error', () => {}).on('close', () => (over = true))),
    )
    late(await (dialPort(there)() as Promise<Socket>))
    await holds(() => over)
    socket.destroy()
    await holds(() => between.serving === 0)
  })
})

describe('large bodies', () => {
  it('stream both ways in bounded memory, and no faster than they are read', async () => {
    // So much that a body which is kept stands out from the memory that a young process takes: up to 120 MiB.
    const size = 400 * 1024 * 1024
    const piece = Buffer.alloc(256 * 1024, 'kt')
    const { port } = await serveRequests(async (req, res) => {
      const hash = createHash('sha256')
      for await (const chunk of req) hash.update(chunk as Buffer)
      res.setHeader('X-Hash', hash.digest('hex'))
      await pipeline(async function* () {
        for (let sent = 0; sent < size; sent += piece.length) yield piece
      }, res)
    })
    const between = await router(dialPort(port))
    const req = request({ port: between.port, host: '127.0.0.1', method: 'POST' })
    const before = process.memoryUsage().rss
    let peak = 0
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20)
    const sent = createHash('sha256')
    const answered = once(req, 'response') as Promise<[IncomingMessage]>
    await pipeline(async function* () {
      for (let at = 0; at < size; at += piece.length) {
        sent.update(piece)
        yield piece
      }
    }, req)
    const [res] = await answered
    assert.equal(res.headers['x-hash'], sent.digest('hex'))
    let got = 0
    for await (const chunk of res) got += (chunk as Buffer).length
    clearInterval(watch)
    assert.equal(got, size)
    assert.ok(peak - before < 200 * 1024 * 1024, `grew by ${Math.round((peak - before) / 1e6)} MB`)
  })
})
