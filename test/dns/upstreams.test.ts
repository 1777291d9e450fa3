// The three upstreams: datagrams and streams against a far side the test plays, the machine's own resolvers against real
// sockets on loopback.
import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, test } from 'node:test'
import type { Clock } from '../../src/base/clock.ts'
import { buildAnswer } from '../../src/dns/build.ts'
import { type DnsDatagramHandler, datagramUpstream } from '../../src/dns/datagram-upstream.ts'
import type { DnsUpstream } from '../../src/dns/interfaces.ts'
import { localUpstream, parseServer } from '../../src/dns/local-upstream.ts'
import { HEADER_LEN, newQueryView, putU16, readQuery, u16 } from '../../src/dns/message.ts'
import { type DnsStreamHandler, streamUpstream } from '../../src/dns/stream-upstream.ts'
import { frame, TcpFramer } from '../../src/dns/tcp.ts'
import { UpstreamError } from '../../src/dns/upstream.ts'
import { parse, query, seeded, settle, VirtualClock } from './support.ts'

/** What a resolver sends back: one address, under the query's id. */
function answerTo(message: Uint8Array, { rcode = 0, truncated = false, octet = 1 } = {}): Uint8Array {
  const view = newQueryView()
  readQuery(message, 0, message.length, view)
  const rdata = rcode === 0 && !truncated ? [Uint8Array.of(192, 0, 2, octet)] : []
  const answer = buildAnswer(message.slice(HEADER_LEN, view.questionEnd), rcode, rdata, 30)
  putU16(answer, 0, view.id)
  if (truncated) answer[2] |= 2
  return answer
}
const lost = (error: unknown) => error instanceof UpstreamError && error.code === 'lost'
const timeout = (error: unknown) => error instanceof UpstreamError && error.code === 'timeout'

function datagrams(clock: VirtualClock, tcpAnswers = true) {
  const sent: Uint8Array[] = []
  const opened: DnsDatagramHandler[] = []
  const overTcp: Uint8Array[] = []
  const tcp: DnsUpstream = {
    name: 'tcp',
    query: async (message) => {
      overTcp.push(message)
      if (!tcpAnswers) throw new UpstreamError('timeout', 'no')
      return answerTo(message, { octet: 9 })
    },
    close() {},
  }
  const open = (handler: DnsDatagramHandler) => {
    opened.push(handler)
    return { send: (payload: Uint8Array) => void sent.push(payload.slice()), close() {} }
  }
  const upstream = datagramUpstream({ name: 'dns', open, tcp, clock, random: seeded(5) })
  return { upstream, sent, opened, overTcp }
}

test('datagrams: the answer comes under the id of the caller, sent under one of its own', async () => {
  const { upstream, sent, opened } = datagrams(new VirtualClock())
  const message = query('web')
  putU16(message, 0, 7)
  const answer = upstream.query(message, 'udp')
  assert.notEqual(u16(sent[0], 0), 7)
  opened[0].onDatagram(answerTo(sent[0]))
  assert.equal(parse(await answer).header.id, 7)
})

test('datagrams: an answer stays what it was when the memory it came in is used again', async () => {
  const { upstream, sent, opened } = datagrams(new VirtualClock())
  const answer = upstream.query(query('web'), 'udp')
  const expected = answerTo(sent[0])
  // A Buffer, as the tunnel gives: `slice` of one is no copy.
  const view = Buffer.from(expected)
  opened[0].onDatagram(view)
  view.fill(0xff)
  assert.deepEqual((await answer).subarray(2), expected.subarray(2))
})

test('datagrams: what is lost is sent again, and given up a little before a program gives up after 5 s', async () => {
  const clock = new VirtualClock()
  const { upstream, sent, opened } = datagrams(clock)
  const answer = upstream.query(query('web'), 'udp')
  await clock.advance(800)
  assert.equal(sent.length, 3)
  opened[0].onDatagram(answerTo(sent[2]))
  await answer
  assert.equal(clock.pending, 0)
  const never = upstream.query(query('web'), 'udp')
  let over = false
  const failed = assert.rejects(never, timeout).then(() => (over = true))
  await clock.advance(4700)
  assert.equal(over, false, 'a line may be back within 5 s')
  await clock.advance(200)
  await failed
})

test('datagrams: where answers take long, it waits longer before it asks again', async () => {
  const clock = new VirtualClock()
  const { upstream, sent, opened } = datagrams(clock)
  for (let i = 0; i < 10; i++) {
    const answer = upstream.query(query(`web-${i}`), 'udp')
    const mine = sent.at(-1)!
    await clock.advance(400)
    opened[0].onDatagram(answerTo(mine))
    await answer
  }
  const before = sent.length
  const answer = upstream.query(query('web'), 'udp')
  await clock.advance(399)
  assert.equal(sent.length, before + 1, 'asked again before an answer could have come')
  opened[0].onDatagram(answerTo(sent[before]))
  await answer
})

test('datagrams: many under way are sent several at a time where they queue, and one alone at once', async () => {
  const clock = new VirtualClock()
  const { upstream, sent, opened } = datagrams(clock)
  const answered: Promise<unknown>[] = []
  const due: { at: number; query: Uint8Array }[] = []
  const sentAt: number[] = []
  /** Asks `count` a ms for `ms`, each answered `takes` later. */
  const load = async (count: number, ms: number, takes: number) => {
    for (const end = clock.now() + ms; clock.now() < end || due.length > 0; ) {
      for (let i = 0; i < count && clock.now() < end; i++)
        answered.push(upstream.query(query(`web-${answered.length}`), 'udp'))
      await clock.advance(1)
      for (; sentAt.length < sent.length; sentAt.push(clock.now()))
        due.push({ at: clock.now() + takes, query: sent[sentAt.length] })
      while (due.length > 0 && due[0].at <= clock.now()) opened[0].onDatagram(answerTo(due.shift()!.query))
    }
    await Promise.all(answered)
  }
  const moments = (from: number) => new Set(sentAt.slice(from)).size
  await load(20, 50, 2)
  assert.equal(moments(0), 50, 'nothing queues, and yet they waited')
  await load(2, 200, 66)
  const queued = sentAt.length
  await load(2, 400, 66)
  assert.ok(moments(queued) <= 800 / 8, `800 queries at ${moments(queued)} moments`)
  const alone = sent.length
  const answer = upstream.query(query('web'), 'udp')
  assert.equal(sent.length, alone + 1)
  opened[0].onDatagram(answerTo(sent[alone]))
  await answer
})

test('datagrams: another id, another question or a query is no answer', async () => {
  const clock = new VirtualClock()
  const { upstream, sent, opened } = datagrams(clock)
  const failed = assert.rejects(upstream.query(query('web'), 'udp'), timeout)
  const wrongId = answerTo(sent[0])
  wrongId[0] ^= 1
  opened[0].onDatagram(wrongId)
  const other = query('evil')
  other.set(sent[0].subarray(0, 2))
  opened[0].onDatagram(answerTo(other))
  opened[0].onDatagram(sent[0])
  opened[0].onDatagram(new Uint8Array(3))
  await clock.advance(4900)
  await failed
})

test('datagrams: a truncated answer is asked for over TCP, and so is what the caller wants so', async () => {
  const { upstream, sent, opened, overTcp } = datagrams(new VirtualClock())
  const answer = upstream.query(query('web'), 'udp')
  opened[0].onDatagram(answerTo(sent[0], { truncated: true }))
  assert.equal(parse(await answer).answers[0].address, '192.0.2.9')
  await upstream.query(query('web'), 'tcp')
  assert.deepEqual([overTcp.length, sent.length], [2, 1])
})

test('datagrams: a failed flow is opened anew by the next retransmission', async () => {
  const clock = new VirtualClock()
  const { upstream, sent, opened } = datagrams(clock)
  const answer = upstream.query(query('web'), 'udp')
  opened[0].onFail('refused')
  await clock.advance(250)
  assert.equal(opened.length, 2)
  opened[1].onDatagram(answerTo(sent[1]))
  await answer
})

test('datagrams: closing rejects what is under way and what comes later', async () => {
  const { upstream } = datagrams(new VirtualClock())
  const failed = assert.rejects(upstream.query(query('web'), 'udp'), lost)
  upstream.close()
  await failed
  await assert.rejects(upstream.query(query('web'), 'udp'), lost)
})

/** The far side of streams: `take` says how many bytes a write takes. */
function streams(clock: VirtualClock, take = Infinity) {
  const opened: { handler: DnsStreamHandler; received: Uint8Array[]; reset: boolean; consumed: number }[] = []
  const open = (handler: DnsStreamHandler) => {
    const framer = new TcpFramer()
    const stream = { handler, received: [] as Uint8Array[], reset: false, consumed: 0 }
    opened.push(stream)
    return {
      write(buffer: Uint8Array, start: number, end: number) {
        const stop = Math.min(end, start + take)
        framer.push(buffer, start, stop, (b, from, to) => stream.received.push(b.slice(from, to)))
        return stop - start
      },
      reset: () => void (stream.reset = true),
      consumed: (bytes: number) => void (stream.consumed += bytes),
    }
  }
  return { upstream: streamUpstream({ name: 'dns', open, pool: 3, clock, random: seeded(5) }), opened }
}

test('streams: queries spread over the pool, then share connections, and are answered in any order', async () => {
  const { upstream, opened } = streams(new VirtualClock())
  const answers = Array.from({ length: 6 }, (_, i) => upstream.query(query(`web-${i}`), 'udp'))
  assert.equal(opened.length, 3)
  for (const stream of opened) stream.handler.onOpen()
  for (const stream of opened) {
    assert.equal(stream.received.length, 2)
    const both = Buffer.concat(stream.received.toReversed().map((message) => frame(answerTo(message))))
    stream.handler.onData(both.subarray(0, 5))
    stream.handler.onData(both.subarray(5))
    assert.equal(stream.consumed, both.length)
  }
  for (const [i, answer] of (await Promise.all(answers)).entries())
    assert.equal(parse(answer).questions[0].name, `web-${i}`)
})

test('streams: a full window holds bytes back until it drains', async () => {
  const { upstream, opened } = streams(new VirtualClock(), 10)
  const answer = upstream.query(query('web'), 'udp')
  opened[0].handler.onOpen()
  for (let i = 0; i < 9 && opened[0].received.length === 0; i++) opened[0].handler.onDrain()
  opened[0].handler.onData(frame(answerTo(opened[0].received[0])))
  assert.equal(parse(await answer).answers.length, 1)
})

test('streams: a connection the server closed is replaced, and its queries are asked again once', async () => {
  const { upstream, opened } = streams(new VirtualClock())
  const answer = upstream.query(query('web'), 'udp')
  opened[0].handler.onOpen()
  opened[0].handler.onEnd()
  await settle()
  assert.deepEqual([opened.length, opened[0].reset], [2, true])
  opened[1].handler.onOpen()
  opened[1].handler.onData(frame(answerTo(opened[1].received[0])))
  await answer
  const twice = assert.rejects(upstream.query(query('web'), 'udp'), lost)
  opened[1].handler.onClose('lost')
  await settle()
  opened[2].handler.onFail('refused', 'connection refused')
  await twice
})

test('streams: silence ends in a time-out and a fresh connection', async () => {
  const clock = new VirtualClock()
  const { upstream, opened } = streams(clock)
  const failed = assert.rejects(upstream.query(query('web'), 'udp'), timeout)
  opened[0].handler.onOpen()
  await clock.advance(3100)
  await failed
  assert.equal(opened[0].reset, true)
  const next = assert.rejects(upstream.query(query('web'), 'udp'), lost)
  assert.equal(opened.length, 2)
  upstream.close()
  await next
})

const realClock: Clock = {
  now: () => performance.now(),
  after: (ms, fire) => {
    const timer = setTimeout(fire, ms)
    return () => clearTimeout(timer)
  },
}
/** Only the time-outs of this one are shortened, four to one, for resolvers that stay silent. */
const hurriedClock: Clock = { now: realClock.now, after: (ms, fire) => realClock.after(ms / 4, fire) }

const sockets: Socket[] = []
after(() => {
  for (const socket of sockets) socket.close()
})

async function resolver(reply: (message: Uint8Array) => Uint8Array | undefined, address = '127.0.0.1') {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  sockets.push(socket)
  const state = { asked: 0, ports: new Set<number>(), text: '' }
  socket.on('message', (message, from) => {
    state.asked++
    state.ports.add(from.port)
    const answer = reply(message)
    if (answer) socket.send(answer, from.port, from.address)
  })
  socket.bind(0, address)
  await once(socket, 'listening')
  const { port } = socket.address()
  state.text = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  return state
}

test('local: asked from a fresh port each time, answered under the id of the caller', async () => {
  const one = await resolver(answerTo)
  const upstream = localUpstream({ servers: [one.text], clock: realClock, random: seeded(1) })
  for (let i = 0; i < 5; i++) {
    const answer = parse(await upstream.query(query('www.example.com'), 'udp'))
    assert.deepEqual([answer.header.id, answer.answers[0].address], [0, '192.0.2.1'])
  }
  assert.ok(one.ports.size >= 4)
  assert.equal(upstream.name, one.text)
})

test('local: one that is closed or silent is passed over, and asked last from then on', async () => {
  const silent = await resolver(() => undefined)
  const good = await resolver(answerTo)
  const gone = createSocket('udp4').bind(0, '127.0.0.1')
  await once(gone, 'listening')
  const closed = `127.0.0.1:${gone.address().port}`
  gone.close()
  const upstream = localUpstream({ servers: [closed, silent.text, good.text], clock: hurriedClock, random: seeded(1) })
  for (let i = 0; i < 4; i++) await upstream.query(query('www.example.com'), 'udp')
  assert.deepEqual([silent.asked, good.asked], [2, 4])
})

test('local: SERVFAIL and REFUSED make it ask the next one, NXDOMAIN does not', async () => {
  const failing = await resolver((message) => answerTo(message, { rcode: 2 }))
  const refusing = await resolver((message) => answerTo(message, { rcode: 5 }))
  const knowing = await resolver((message) => answerTo(message, { rcode: 3 }))
  const good = await resolver(answerTo)
  const ask = async (...servers: { text: string }[]) => {
    const list = servers.map((server) => server.text)
    const upstream = localUpstream({ servers: list, clock: realClock, random: seeded(1) })
    return parse(await upstream.query(query('www.example.com'), 'udp')).header.rcode
  }
  assert.equal(await ask(failing, refusing, good), 0)
  assert.equal(await ask(failing, knowing, good), 3)
  const before = [failing.asked, refusing.asked]
  assert.equal(await ask(failing), 2)
  assert.equal(await ask(failing, refusing), 5)
  // The second round is for those that were silent, not for those that have answered.
  assert.deepEqual([failing.asked - before[0], refusing.asked - before[1]], [2, 1])
})

test('local: new servers end what the earlier ones are asked, and are asked themselves', async () => {
  const refusing = await resolver((message) => answerTo(message, { rcode: 5 }))
  const silent = await resolver(() => undefined)
  const good = await resolver(answerTo)
  const upstream = localUpstream({ servers: [refusing.text, silent.text], clock: realClock, random: seeded(1) })
  const old = assert.rejects(upstream.query(query('www.example.com'), 'udp'), lost)
  while (silent.asked === 0) await settle()
  upstream.setServers([good.text])
  await old
  assert.equal(parse(await upstream.query(query('www.example.com'), 'udp')).header.rcode, 0)
  assert.equal(upstream.name, good.text)
})

test('local: a flood takes a bounded number of sockets, and what comes after it is answered', async () => {
  const silent = await resolver(() => undefined)
  const clock = new VirtualClock()
  const upstream = localUpstream({ servers: [silent.text], clock, random: seeded(1) })
  const outcomes = Array.from({ length: 3000 }, (_, i) =>
    upstream.query(query(`x${i}.example`), 'udp').then(
      () => 'answered',
      (error: Error) => error.message.replace(silent.text, 'it'),
    ),
  )
  const refused = await Promise.all(outcomes.slice(1024))
  assert.deepEqual([...new Set(refused)], ['too many questions to it at once'])
  await clock.advance(5000)
  assert.deepEqual([...new Set(await Promise.all(outcomes.slice(0, 1024)))], ['no answer from it'])
  const good = await resolver(answerTo)
  upstream.setServers([good.text])
  await upstream.query(query('www.example.com'), 'udp')
  upstream.close()
})

test('ids come from the random source, each upstream alike', async () => {
  const next = seeded(9)
  const expected = Array.from({ length: 3 }, () => next() & 0xffff)
  assert.equal(new Set([...expected, 0]).size, 4)

  const seen: number[] = []
  const far = await resolver((message) => {
    seen.push(u16(message, 0))
    return answerTo(message)
  })
  const local = localUpstream({ servers: [far.text], clock: realClock, random: seeded(9) })
  for (let i = 0; i < 3; i++) await local.query(query('www.example.com'), 'udp')
  assert.deepEqual(seen, expected)

  const sent: number[] = []
  const through = datagramUpstream({
    name: 'dns',
    open: () => ({ send: (payload) => void sent.push(u16(payload, 0)), close() {} }),
    tcp: local,
    clock: new VirtualClock(),
    random: seeded(9),
  })
  for (let i = 0; i < 3; i++) through.query(query(`web${i}`), 'udp').catch(() => {})
  assert.deepEqual(sent, expected)
  through.close()
})

test('an id that is taken is not given again', async () => {
  const sent: number[] = []
  const upstream = datagramUpstream({
    name: 'dns',
    open: () => ({ send: (payload) => void sent.push(u16(payload, 0)), close() {} }),
    tcp: { name: 'tcp', query: () => assert.fail(), close() {} },
    clock: new VirtualClock(),
    random: () => 0xabcdffff,
  })
  for (let i = 0; i < 3; i++) upstream.query(query(`web${i}`), 'udp').catch(() => {})
  assert.deepEqual(sent, [0xffff, 0, 1])
  upstream.close()
})

test('local: a truncated answer is asked for over TCP', async () => {
  const server = createServer((socket) => {
    const framer = new TcpFramer()
    socket.on('data', (chunk) =>
      framer.push(chunk, 0, chunk.length, (b, from, to) =>
        socket.write(frame(answerTo(b.slice(from, to), { octet: 7 }))),
      ),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const socket = createSocket('udp4')
  sockets.push(socket)
  socket.on('message', (message, from) => socket.send(answerTo(message, { truncated: true }), from.port))
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  const upstream = localUpstream({ servers: [`127.0.0.1:${port}`], clock: realClock, random: seeded(1) })
  assert.equal(parse(await upstream.query(query('big.example.com'), 'udp')).answers[0].address, '192.0.2.7')
  server.close()
})

test('local: a late answer of a slow resolver still counts', async () => {
  let first: (() => void) | undefined
  const socket = createSocket('udp4')
  sockets.push(socket)
  socket.on('message', (message, from) => {
    // The first query is answered when the second resolver has been asked, too.
    first ??= () => socket.send(answerTo(message, { octet: 5 }), from.port)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const second = await resolver(() => {
    first?.()
    return undefined
  })
  const servers = [`127.0.0.1:${socket.address().port}`, second.text]
  const upstream = localUpstream({ servers, clock: hurriedClock, random: seeded(1) })
  assert.equal(parse(await upstream.query(query('slow.example.com'), 'udp')).answers[0].address, '192.0.2.5')
})

test('local: nobody there, no servers, closed', async () => {
  const silent = await resolver(() => undefined)
  const upstream = localUpstream({ servers: [silent.text], clock: hurriedClock, random: seeded(1) })
  await assert.rejects(upstream.query(query('www.example.com'), 'udp'), timeout)
  const open = assert.rejects(upstream.query(query('www.example.com'), 'udp'), lost)
  upstream.close()
  await open
  const none = localUpstream({ servers: [], clock: realClock, random: seeded(1) })
  await assert.rejects(none.query(query('www.example.com'), 'udp'), lost)
  const good = await resolver(answerTo)
  // Of a resolv.conf that was rewritten meanwhile.
  none.setServers(['dns.office.test', '', '198.51.100.53#53', good.text])
  assert.equal(none.name, good.text)
  await none.query(query('www.example.com'), 'udp')
})

test("resolvers' addresses", () => {
  assert.deepEqual(parseServer('198.51.100.53'), { host: '198.51.100.53', port: 53 })
  assert.deepEqual(parseServer('198.51.100.53:5353'), { host: '198.51.100.53', port: 5353 })
  assert.deepEqual(parseServer('fd00::53'), { host: 'fd00::53', port: 53 })
  assert.deepEqual(parseServer('[fd00::53]:5353'), { host: 'fd00::53', port: 5353 })
  assert.deepEqual(parseServer('fe80::1%eth0'), { host: 'fe80::1%eth0', port: 53 })
  for (const text of ['dns.example', '', '1.2.3.4:0', '1.2.3.4:99999']) assert.equal(parseServer(text), undefined)
})
