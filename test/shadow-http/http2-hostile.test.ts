// HTTP/2 from callers and servers that mean no good: what they send costs their stream or their connection, never the router.
// An exception that nobody handles fails the test in which it happens.
import assert from 'node:assert/strict'
import { connect, createServer, type IncomingHttpHeaders } from 'node:http2'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { after, describe, it } from 'node:test'
import { StreamMemory } from '../../src/shadow/http/stream-memory.ts'
import { IpAddress } from '../../src/wire/address.ts'
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  Frame,
  frame,
  type Headers,
  headersFrame,
  PREFACE,
  rawClient,
  readFrames,
  request,
  settings,
  uint32,
} from '../support/http2-frames.ts'
import { until } from '../support/until.ts'
import { dialPort, listen, startRouter, type TestRouter } from './support.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})

/** An original that answers every request whole. */
async function honest(): Promise<number> {
  const server = createServer()
  server.on('session', (session) => {
    closing.push(() => session.destroy())
    session.on('error', () => {})
  })
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200 })
    stream.resume().on('end', () => stream.end('whole'))
  })
  closing.push(() => server.close())
  return listen(server)
}

type Said = (type: number, flags: number, stream: number, payload: Buffer) => void

/** An original that speaks in bytes of its own choice: `on` hears each frame that it gets. */
async function hostile(on: (socket: Socket, ...frame: Parameters<Said>) => void): Promise<number> {
  const server = createTcpServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    closing.push(() => socket.destroy())
    socket.write(settings)
    readFrames(socket, (...said) => on(socket, ...said), PREFACE.length)
  })
  closing.push(() => server.close())
  return listen(server)
}

/** Answers each request with `frames(stream)`. */
const answering = (frames: (stream: number) => Buffer[]) =>
  hostile((socket, type, flags, stream) => {
    if (type === Frame.headers) socket.write(Buffer.concat(frames(stream)))
    if (type === Frame.settings && !(flags & ACK)) socket.write(frame(Frame.settings, ACK, 0))
  })

async function through(port: number): Promise<TestRouter> {
  const router = await startRouter(dialPort(port))
  closing.push(() => router.close())
  return router
}

/** Status and body of one ordinary request on a connection of its own. */
async function ask(router: TestRouter, headers: Record<string, string> = {}): Promise<[number | undefined, string]> {
  const client = connect(`http://127.0.0.1:${router.port}`)
  client.on('error', () => {})
  const stream = client.request({ ':path': '/', ...headers })
  stream.end()
  let status: number | undefined
  stream.on('response', (answer: IncomingHttpHeaders) => {
    status = Number(answer[':status'])
  })
  stream.on('error', () => {})
  let body = ''
  stream.on('data', (chunk) => (body += chunk))
  await new Promise<void>((resolve) => stream.on('close', resolve))
  client.destroy()
  return [status, body]
}

describe('a caller that means no good', () => {
  /** Sends `frames` on a connection whose end is waited for, or `over` times, and then asks as everybody else does. */
  async function attack(frames: Buffer[], over: (said: string[]) => boolean): Promise<string[]> {
    const router = await through(await honest())
    const socket = await rawClient(router.port)
    const said: string[] = []
    socket.on('close', () => said.push('closed'))
    readFrames(socket, (type, flags, stream, payload) => {
      const name = Object.keys(Frame).find((key) => Frame[key as keyof typeof Frame] === type)
      said.push(
        `${name} ${stream}${flags & END_STREAM && type < 2 ? ' end' : ''}${type === Frame.reset ? ` ${payload.readUInt32BE(0)}` : ''}`,
      )
    })
    socket.write(Buffer.concat(frames))
    await until(`the router deals with it: ${said}`, () => over(said))
    socket.destroy()
    await until('the connection is over', () => router.serving === 0)
    assert.deepEqual(await ask(router), [200, 'whole'])
    return said
  }
  const ends = (said: string[]) =>
    said.some((one) => one === 'closed' || /^(reset 1|goaway|data 1 end|headers 1 end)/.test(one))

  it('sends a trailer that may not be sent on', async () => {
    // The first comes while the original is dialled, the second to a stream of a session that is there.
    const frames = [1, 3].flatMap((stream) => [
      headersFrame(stream, request('POST')),
      headersFrame(stream, [['http2-settings', 'x']], END_HEADERS | END_STREAM),
    ])
    const said = await attack(frames, (said) => said.some((one) => /^(reset|data) 3/.test(one)))
    assert.ok(said.includes('headers 1') && said.includes('headers 3'), `${said}`)
  })

  it('lets its windows run over', async () => {
    await attack([headersFrame(1, request('POST')), frame(Frame.window, 0, 1, uint32(0x7fffffff))], ends)
    await attack([headersFrame(1, request('POST')), frame(Frame.window, 0, 0, uint32(0x7fffffff))], ends)
  })

  it('asks by a method and headers that node:http2 does not let through', async () => {
    for (const headers of [
      [...request('GET'), ['http2-settings', 'x']],
      [
        [':method', 'CONNECT'],
        [':authority', 'web.shop:80'],
      ],
      [...request('GET'), ['te', 'gzip']],
      [...request('GET'), ['host', 'a'], ['host', 'b']],
      [...request(''), ['x', 'y']],
      [...request('GET', 'no slash \u0001')],
      [...request('GET'), ['content-length', '5']],
      [...request('GET'), ['content-type', 'a'], ['content-type', 'b'], ['age', '1'], ['age', '2']],
    ] as Headers[])
      await attack([headersFrame(1, headers, END_HEADERS | END_STREAM)], ends)
  })

  it('opens more streams than it may, or resets them as it opens them', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => [
      headersFrame(2 * i + 1, request('GET'), END_HEADERS | END_STREAM),
      frame(Frame.reset, 0, 2 * i + 1, uint32(8)),
    ]).flat()
    await attack(many, (said) => said.includes('closed') || said.some((one) => one.startsWith('goaway')))
  })

  for (const waitMs of [0, 1, 2, 4, 8])
    it(`resets a request ${waitMs} ms after it was sent, and goes`, async () => {
      const router = await through(await honest())
      const socket = await rawClient(router.port)
      socket.write(headersFrame(1, request('GET'), END_HEADERS | END_STREAM))
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      socket.resetAndDestroy()
      await until('the connection is over', () => router.serving === 0)
      assert.deepEqual(await ask(router), [200, 'whole'])
    })
})

describe('an original that means no good', () => {
  const answers: [string, (stream: number) => Buffer[], status: number | undefined][] = [
    ['a status of 600', (s) => [headersFrame(s, [[':status', '600']])], 502],
    ['a status of 099', (s) => [headersFrame(s, [[':status', '099']], END_HEADERS | END_STREAM)], undefined],
    [
      'http2-settings',
      (s) => [
        headersFrame(s, [
          [':status', '200'],
          ['http2-settings', 'x'],
        ]),
      ],
      502,
    ],
    ['an informational status of 101', (s) => [headersFrame(s, [[':status', '101']])], undefined],
    [
      'a trailer that may not be sent on',
      (s) => [
        headersFrame(s, [[':status', '200']]),
        headersFrame(s, [['http2-settings', 'x']], END_HEADERS | END_STREAM),
      ],
      200,
    ],
    [
      'a body where none may be',
      (s) => [headersFrame(s, [[':status', '204']]), frame(Frame.data, END_STREAM, s, Buffer.from('x'))],
      204,
    ],
    ['a window that runs over', (s) => [frame(Frame.window, 0, s, uint32(0x7fffffff))], undefined],
    ['a window of the connection that runs over', () => [frame(Frame.window, 0, 0, uint32(0x7fffffff))], undefined],
    ['a promise', (s) => [frame(Frame.push, END_HEADERS, s, Buffer.concat([uint32(2)]))], undefined],
    ['GOAWAY at once', () => [frame(Frame.goaway, 0, 0, Buffer.alloc(8))], undefined],
    ['settings that cannot be', () => [frame(Frame.settings, 0, 0, Buffer.from('000500000001', 'hex'))], undefined],
    ['bytes that are no frames', () => [Buffer.alloc(64, 255)], undefined],
  ]
  for (const [what, frames, status] of answers)
    it(`answers with ${what}`, async () => {
      const router = await through(await answering(frames))
      const good = await honest()
      router.routes.push({ version: 'good', dial: dialPort(good) })
      for (const method of ['GET', 'POST', 'HEAD']) {
        const [got, body] = await ask(router, { ':method': method })
        if (status !== undefined) assert.equal(got, status, method)
        if (status === 502 && method !== 'HEAD') assert.match(body, /^kt: .*cannot be passed on/)
      }
      assert.deepEqual(await ask(router, { 'kt-version': 'good' }), [200, 'whole'])
    })

  it('refuses the rest of an upload without an error, and then answers', async () => {
    const port = await hostile((socket, type, flags, stream) => {
      if (type === Frame.settings && !(flags & ACK)) socket.write(frame(Frame.settings, ACK, 0))
      // In one piece, so that the reset is known before the answer is looked at.
      if (type === Frame.headers)
        socket.write(
          Buffer.concat([
            headersFrame(stream, [[':status', '200']]),
            frame(Frame.data, END_STREAM, stream, Buffer.from('early')),
            frame(Frame.reset, 0, stream, uint32(0)),
          ]),
        )
    })
    const router = await through(port)
    // The caller's window is shut, so that the upload and the answer are stuck; then it resets its side without an error.
    const socket = await rawClient(router.port)
    socket.write(
      Buffer.concat([
        frame(Frame.settings, 0, 0, Buffer.from('000400000000', 'hex')),
        headersFrame(1, request('POST')),
      ]),
    )
    socket.write(frame(Frame.data, 0, 1, Buffer.alloc(16_000)))
    socket.write(frame(Frame.reset, 0, 1, uint32(0)))
    const [got] = await ask(router, { ':method': 'POST' })
    assert.equal(got, 200)
    socket.destroy()
    await until('the connection is over', () => router.serving === 0)
  })

  it('answers after the caller has given up its stuck upload without an error', async () => {
    let answer: (() => void) | undefined
    // No stream may send: SETTINGS_INITIAL_WINDOW_SIZE is 0.
    const shut = frame(Frame.settings, 0, 0, Buffer.from('000400000000', 'hex'))
    const port = await hostile((socket, type, flags, stream) => {
      if (type === Frame.settings && !(flags & ACK)) socket.write(Buffer.concat([shut, frame(Frame.settings, ACK, 0)]))
      if (type === Frame.headers)
        answer = () => void socket.write(headersFrame(stream, [[':status', '200']], END_HEADERS))
    })
    const router = await through(port)
    const socket = await rawClient(router.port)
    socket.write(headersFrame(1, request('POST')))
    for (let i = 0; i < 3; i++) socket.write(frame(Frame.data, 0, 1, Buffer.alloc(16_000)))
    await until('the request is there', () => answer !== undefined)
    socket.write(frame(Frame.reset, 0, 1, uint32(0)))
    const ponged = new Promise<void>((resolve) => readFrames(socket, (type) => type === Frame.ping && resolve()))
    socket.write(frame(Frame.ping, 0, 0, Buffer.alloc(8)))
    await ponged
    answer!()
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.destroy()
    await until('the connection is over', () => router.serving === 0)
  })
})

describe('streams that nobody reads', () => {
  it('may hold 256 MiB together and 128 MiB of one address', () => {
    const memory = new StreamMemory()
    const leave: (() => void)[] = []
    const taken = (from: string) => {
      for (let count = 0; ; count++) {
        const one = memory.take(IpAddress.parse(from), 1024 * 1024)
        if (!one) return count
        leave.push(one)
      }
    }
    assert.deepEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(taken), [128, 128, 0])
    for (const one of leave.splice(0)) one()
    assert.deepEqual(['10.0.0.3', '10.0.0.4'].map(taken), [128, 128])
  })

  /** An original, or a version's program, that takes requests and never reads or answers; `windows` are those it is given. */
  async function silent(): Promise<{ port: number; windows: number[]; opened: () => number }> {
    const windows: number[] = []
    let opened = 0
    const port = await hostile((_, type, flags, _stream, payload) => {
      if (type === Frame.headers) opened++
      if (type !== Frame.settings || (flags & ACK) !== 0) return
      for (let p = 0; p < payload.length; p += 6)
        if (payload.readUInt16BE(p) === 4) windows.push(payload.readUInt32BE(p + 2))
    })
    return { port, windows, opened: () => opened }
  }

  for (const [who, headers, share] of [
    ['the original', {}, 4],
    ['a version', { 'kt-version': 'far' }, 2],
  ] as const)
    it(`of ${who} hold no more together than they may, and leave their room when they end`, async () => {
      const side = await silent()
      const router = await startRouter(dialPort(side.port), { version: 'far', dial: dialPort(side.port) })
      closing.push(() => router.close())
      const near = 65_535
      const far = who === 'the original' ? near : 262_144
      // One address may have half of it.
      router.streams = new StreamMemory(2 * share * (near + far) + 1000)
      const refused: number[] = []
      const sessions = [connect(`http://127.0.0.1:${router.port}`), connect(`http://127.0.0.1:${router.port}`)]
      const streams = sessions.flatMap((session) => {
        session.on('error', () => {})
        closing.push(() => session.destroy())
        return Array.from({ length: 4 }, () => {
          const stream = session.request({ ':method': 'POST', ...headers })
          stream.on('error', () => {})
          stream.on('close', () => refused.push(stream.rstCode))
          stream.write('x')
          return stream
        })
      })
      await until('the rest is refused', () => refused.length === streams.length - share && side.opened() === share)
      assert.deepEqual(new Set(refused), new Set([7]), 'REFUSED_STREAM, so that a client may ask again')
      assert.equal(sessions[0].remoteSettings.initialWindowSize, near)
      assert.deepEqual(new Set(side.windows), new Set([far]))
      for (const stream of streams) stream.close(8)
      await until('they have ended', () => refused.length === streams.length)
      const again = sessions[0].request({ ':method': 'POST', ...headers })
      again.on('error', () => {})
      await until('there is room again', () => side.opened() === share + 1)
    })
})
