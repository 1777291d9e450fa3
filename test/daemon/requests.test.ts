// Requests as they are read from the bytes that pass: what is told of them, what is not, and that the bytes never mind.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PodName } from '../../src/cluster/calls.ts'
import type { RequestReport } from '../../src/control/views.ts'
import type { SpliceWatcher } from '../../src/daemon/inbound/splice.ts'
import { CallerNames } from '../../src/daemon/requests/caller-names.ts'
import { RequestLog } from '../../src/daemon/requests/request-log.ts'
import { HIDDEN, pathWithoutSecrets, withoutSecrets } from '../../src/daemon/requests/secrets.ts'
import { IpAddress } from '../../src/wire/address.ts'
import {
  END_HEADERS,
  END_STREAM,
  Frame,
  frame,
  headersFrame,
  PREFACE,
  request as requestHeaders,
  settings,
} from '../support/http2-frames.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const caller = { address: IpAddress.parse('10.244.1.7'), port: 40412 }
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Bench {
  time: VirtualTime
  log: RequestLog
  told: RequestReport[]
  notes: string[]
  /** Each piece with who says it: `>` the caller, `<` the program. */
  say(watch: SpliceWatcher, ...pieces: [side: '>' | '<', piece: string | Uint8Array][]): void
  connect(): SpliceWatcher
}

function bench(
  ask: (address: string) => Promise<PodName | null> = async () => ({ name: 'web-1', namespace: 'shop' }),
  tells = true,
): Bench {
  const time = new VirtualTime()
  const told: RequestReport[] = []
  const notes: string[] = []
  const log = new RequestLog({
    clock: time,
    wall: () => 1_700_000_000_000 + time.now(),
    names: new CallerNames({ ask, now: () => time.now() }),
    notice: (line) => void notes.push(line),
    ...(tells && { tell: (report: RequestReport) => void told.push(report) }),
  })
  return {
    time,
    log,
    told,
    notes,
    say: (watch, ...pieces) => {
      for (const [side, piece] of pieces) {
        const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece
        if (side === '>') watch.fromCaller(bytes)
        else watch.fromProgram(bytes)
      }
    },
    connect: () => log.watch(caller, { remote: 80, local: 8080 })!,
  }
}

const lines = ({ told }: Bench) =>
  told.map(
    ({ method, path, status, bytesIn, bytesOut, outcome }) =>
      `${method} ${path} ${status} ${bytesIn} ${bytesOut} ${outcome}`,
  )

describe('HTTP/1', () => {
  test('a request and its answer are one line, with the pod of the caller, the time it took, and its bytes', async () => {
    const b = bench()
    const watch = b.connect()
    b.say(watch, ['>', 'POST /cart?x=1 HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhe'])
    await b.time.run(12)
    b.say(watch, ['>', 'llo'], ['<', 'HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes'])
    await turn()
    const { pod, at, ms, protocol, host, remote, local, caller } = b.told[0]
    assert.deepEqual(lines(b), ['POST /cart?x=1 201 5 3 answered'])
    assert.deepEqual(
      { pod, at, ms, protocol, host, remote, local, caller },
      {
        pod: { name: 'web-1', namespace: 'shop' },
        at: '2023-11-14T22:13:20.000Z',
        ms: 12,
        protocol: 'HTTP/1.1',
        host: 'web',
        remote: 80,
        local: 8080,
        caller: '10.244.1.7:40412',
      },
    )
  })

  const conversation: [string, ['>' | '<', string][], string[]][] = [
    [
      'pipelined requests get the answers in their order',
      [
        ['>', 'GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n'],
        ['<', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\naa'],
        ['<', 'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nc'],
      ],
      ['GET /a 200 0 2 answered', 'HEAD /b 200 0 0 answered', 'GET /c 404 0 1 answered'],
    ],
    [
      'chunked bodies count as they were sent, and end where they end',
      [
        ['>', 'POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n'],
        ['<', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'],
        ['<', 'HTTP/1.1 204 None\r\n\r\n'],
      ],
      ['POST /a 200 13 12 answered', 'GET /b 204 0 0 answered'],
    ],
    [
      '100 Continue is not the answer yet',
      [
        ['>', 'PUT /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n'],
        ['<', 'HTTP/1.1 100 Continue\r\n\r\n'],
        ['>', 'ab'],
        ['<', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
      ],
      ['PUT /a 200 2 0 answered'],
    ],
    [
      'after a change of the protocol nothing is read any more',
      [
        ['>', 'GET /socket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
        ['<', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nGET /no HTTP/1.1\r\n\r\n'],
        ['>', 'GET /no HTTP/1.1\r\n\r\n'],
        ['<', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
      ],
      ['GET /socket 101 0 0 upgraded'],
    ],
  ]
  for (const [what, pieces, expected] of conversation) {
    test(what, async () => {
      const b = bench()
      b.say(b.connect(), ...pieces)
      await turn()
      assert.deepEqual(lines(b), expected)
      assert.deepEqual(b.notes, [])
    })
    test(`${what}, byte by byte`, async () => {
      const b = bench()
      const watch = b.connect()
      for (const [side, piece] of pieces) for (const one of piece) b.say(watch, [side, one])
      await turn()
      assert.deepEqual(lines(b), expected)
    })
  }

  test('an answer without a length ends with the program’s end; one that is cut off says so', async () => {
    const b = bench()
    const [whole, cut] = [b.connect(), b.connect()]
    b.say(whole, ['>', 'GET /whole HTTP/1.0\r\n\r\n'], ['<', 'HTTP/1.1 200 OK\r\n\r\nabc'])
    whole.programEnded()
    whole.closed()
    b.say(cut, ['>', 'GET /cut HTTP/1.1\r\n\r\n'], ['<', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'])
    cut.programEnded()
    cut.closed()
    b.connect().closed()
    await turn()
    assert.deepEqual(lines(b), ['GET /whole 200 0 3 answered', 'GET /cut 200 0 3 cut'])
  })

  test('a request that is never answered is told when its connection ends', async () => {
    const b = bench()
    const watch = b.connect()
    b.say(watch, ['>', 'GET /slow HTTP/1.1\r\n\r\n'])
    await b.time.run(700)
    watch.closed()
    await turn()
    assert.deepEqual(lines(b), ['GET /slow null 0 0 cut'])
    assert.equal(b.told[0].ms, 700)
  })
})

describe('HTTP/2', () => {
  const grpc = (stream: number, path: string) =>
    headersFrame(stream, [...requestHeaders('POST', path), ['content-type', 'application/grpc']])
  const hello = Buffer.concat([Buffer.from(PREFACE), settings])

  test('streams are requests, whichever ends first; gRPC’s status comes from the trailers', async () => {
    const b = bench()
    const watch = b.connect()
    // A server may send its settings before it has heard anything.
    b.say(watch, ['<', settings], ['>', hello], ['>', grpc(1, '/a.S/Slow')], ['>', grpc(3, '/a.S/Quick')])
    b.say(watch, ['>', frame(Frame.data, 8, 1, Buffer.from([2, 97, 98, 99, 0, 0]))])
    b.say(watch, ['>', frame(Frame.data, END_STREAM, 3, Buffer.from('xy'))])
    b.say(watch, ['<', headersFrame(3, [[':status', '200']])], ['<', frame(Frame.data, 0, 3, Buffer.alloc(7))])
    b.say(watch, ['<', headersFrame(3, [['grpc-status', '0']], END_HEADERS | END_STREAM)])
    b.say(watch, [
      '<',
      headersFrame(
        1,
        [
          [':status', '200'],
          ['grpc-status', '5'],
          ['grpc-message', 'no%20such'],
        ],
        END_HEADERS | END_STREAM,
      ),
    ])
    await turn()
    assert.deepEqual(lines(b), ['POST /a.S/Quick 200 2 7 answered', 'POST /a.S/Slow 200 3 0 answered'])
    assert.deepEqual(
      b.told.map(({ protocol, grpcStatus }) => [protocol, grpcStatus]),
      [
        ['gRPC', 0],
        ['gRPC', 5],
      ],
    )
    assert.deepEqual(b.told[1].responseHeaders.at(-1), ['grpc-message', 'no%20such'])
  })

  test('a stream that one side gives up is told so, and the others go on', async () => {
    const b = bench()
    const watch = b.connect()
    b.say(watch, ['>', hello], ['>', grpc(1, '/a.S/A')], ['>', grpc(3, '/a.S/B')])
    b.say(watch, ['>', frame(Frame.reset, 0, 1, Buffer.alloc(4))])
    b.say(watch, ['<', headersFrame(3, [[':status', '204']], END_HEADERS | END_STREAM)])
    watch.closed()
    await turn()
    assert.deepEqual(lines(b), ['POST /a.S/A null 0 0 cancelled', 'POST /a.S/B 204 0 0 answered'])
  })
})

describe('what is no HTTP', () => {
  for (const [what, pieces, note] of [
    [
      'TLS',
      [
        ['>', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])],
        ['>', 'more'],
      ],
      /encrypted \(TLS\)/,
    ],
    ['bytes', [['>', 'EHLO you\r\n']], /it is not HTTP/],
    ['a program that greets at length', [['<', 'x'.repeat(20_000)]], /speaks first/],
    ['a head of 40 kB', [['>', `GET / HTTP/1.1\r\nX: ${'x'.repeat(40_000)}`]], /head that is too long/],
    [
      'an answer without a request',
      [
        ['>', 'GET / HTTP/1.1\r\n\r\n'],
        ['<', 'HTTP/1.1 204 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n'],
      ],
      /answer to no request/,
    ],
    [
      'headers that refer to nothing',
      [['>', Buffer.concat([Buffer.from(PREFACE), frame(1, 4, 1, Buffer.from([0xff, 0x80, 0x01]))])]],
      /not in the table/,
    ],
  ] as [string, ['>' | '<', string | Buffer][], RegExp][])
    test(`${what}: one note for the port, and nothing more is read`, async () => {
      const b = bench()
      for (let i = 0; i < 3; i++) {
        const watch = b.connect()
        b.say(watch, ...pieces)
        b.say(watch, ['>', 'GET /later HTTP/1.1\r\n\r\n'], ['<', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'])
        watch.closed()
      }
      await turn()
      assert.equal(b.notes.length, 1)
      assert.match(b.notes[0], /^port 80: /)
      assert.match(b.notes[0], note)
      assert.ok(!lines(b).some((line) => line.includes('/later')))
    })
})

describe('callers', () => {
  const get = 'GET /a HTTP/1.1\r\n\r\n'
  const ok = 'HTTP/1.1 204 None\r\n\r\n'

  test('a name that takes long is waited for 1.5 s, then the address has to do; the order stays', async () => {
    let answer: (pod: PodName) => void = () => {}
    const b = bench(() => new Promise((resolve) => (answer = resolve)))
    b.say(b.connect(), ['>', get], ['<', ok])
    await turn()
    assert.equal(b.told.length, 0)
    await b.time.run(1600)
    await turn()
    assert.deepEqual(
      b.told.map(({ pod }) => pod),
      [null],
    )
    answer({ name: 'late-1', namespace: 'shop' })
    await turn()
    b.say(b.connect(), ['>', get], ['<', ok])
    assert.equal(b.told[1].pod?.name, 'late-1')
  })

  test('without the right to look for pods, and for a node’s address, requests are told at once afterwards', async () => {
    let asked = 0
    const b = bench(async () => {
      asked++
      throw new Error('forbidden')
    })
    for (let i = 0; i < 5; i++) b.say(b.connect(), ['>', get], ['<', ok])
    await turn()
    for (let i = 0; i < 5; i++) b.say(b.connect(), ['>', get], ['<', ok])
    assert.equal(b.told.length, 10)
    assert.equal(asked, 1)
    await b.time.run(61_000)
    b.say(b.connect(), ['>', get], ['<', ok])
    await turn()
    assert.equal(asked, 2)
  })
})

describe('views', () => {
  test('nothing is read until a view asks, and again when none has asked for 30 s', async () => {
    const b = bench(undefined, false)
    assert.equal(b.connect(), undefined)
    assert.deepEqual(b.log.since(0, 2), { entries: [], unread: 2, notes: [] })
    const watch = b.connect()
    await turn()
    b.say(watch, ['>', 'GET /a HTTP/1.1\r\n\r\n'], ['<', 'HTTP/1.1 204 None\r\n\r\n'])
    const { entries, unread } = b.log.since(0, 3)
    assert.deepEqual([entries.map(({ path }) => path), unread], [['/a'], 2])
    assert.deepEqual(b.log.since(entries[0].seq, 1).entries, [])
    await b.time.run(31_000)
    assert.equal(b.connect(), undefined)
    // What was being read then is not read on.
    b.say(watch, ['>', 'GET /b HTTP/1.1\r\n\r\n'], ['<', 'HTTP/1.1 204 None\r\n\r\n'])
    assert.equal(b.log.since(0, 1).entries.length, 1)
  })

  test('500 requests are kept, and an answer has at most a megabyte of them', async () => {
    const b = bench(undefined, false)
    b.log.since(0, 0)
    const watch = b.connect()
    await turn()
    const header = Array.from({ length: 12 }, (_, i) => `X-${i}: ${'y'.repeat(1000)}\r\n`).join('')
    for (let i = 0; i < 600; i++)
      b.say(watch, ['>', `GET /${i} HTTP/1.1\r\n${header}\r\n`], ['<', 'HTTP/1.1 204 None\r\n\r\n'])
    const first = b.log.since(0, 1).entries
    assert.equal(first[0].path, '/100')
    assert.ok(JSON.stringify(first).length <= 1 << 20)
    const seen = [...first]
    for (let more = first; more.length > 0; seen.push(...more)) more = b.log.since(seen.at(-1)!.seq, 1).entries
    assert.equal(seen.length, 500)
  })
})

describe('secrets', () => {
  test('headers whose name or value looks secret are hidden, others are not', () => {
    const secret = [
      ['authorization', 'Basic abc'],
      ['Cookie', 'a=b'],
      ['set-cookie', 'a=b'],
      ['x-api-key', 'k'],
      ['X-My-Token', 't'],
      ['x-csrf', 't'],
      ['proxy-authorization', 'x'],
      ['x-custom', 'Bearer abcdef'],
      ['x-user', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x'],
      ['x-aws', 'AKIAIOSFODNN7EXAMPLE'],
    ] as const
    for (const [, value] of withoutSecrets(secret, 64)) assert.equal(value, HIDDEN)
    const plain = [
      ['accept', 'text/html'],
      ['content-length', '5'],
      ['user-agent', 'curl/8'],
      [':authority', 'web.shop'],
      ['grpc-status', '5'],
    ] as const
    assert.deepEqual(
      withoutSecrets(plain, 64),
      plain.map(([name, value]) => [name, value]),
    )
  })

  test('values of query parameters that look secret are hidden, in the path and where headers repeat it', () => {
    assert.equal(
      pathWithoutSecrets('/a?x=1&access_token=abc&key=k&monkey'),
      `/a?x=1&access_token=${HIDDEN}&key=${HIDDEN}&monkey`,
    )
    assert.equal(pathWithoutSecrets('/plain/path'), '/plain/path')
    assert.deepEqual(
      withoutSecrets(
        [
          [':path', '/?sig=1'],
          ['referer', 'http://x/?code=1&a=2'],
        ],
        9,
      ),
      [
        [':path', `/?sig=${HIDDEN}`],
        ['referer', `http://x/?code=${HIDDEN}&a=2`],
      ],
    )
  })

  test('nothing secret is in what is told of a request', async () => {
    const b = bench()
    b.say(
      b.connect(),
      ['>', 'GET /?token=s3cret HTTP/1.1\r\nAuthorization: Bearer s3cret\r\nCookie: sid=s3cret\r\n\r\n'],
      ['<', 'HTTP/1.1 200 OK\r\nSet-Cookie: sid=s3cret\r\nContent-Length: 6\r\n\r\ns3cret'],
    )
    await turn()
    assert.equal(b.told.length, 1)
    assert.ok(!JSON.stringify(b.told).includes('s3cret'))
  })
})
