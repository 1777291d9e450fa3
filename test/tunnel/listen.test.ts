// Ports of the shadow claimed by a tunnel: each kind through the compliance suite, then what is the agent's own: who may claim
// what, and where connections go that no client takes.
import assert from 'node:assert/strict'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { AgentPort } from '../../src/shadow/ports.ts'
import { type ConnectedTunnel, connectTunnel, openTcp, TunnelError } from '../../src/tunnel/index.ts'
import type { IncomingStream, Tunnel } from '../../src/tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../../src/wire/address.ts'
import { createLoopbackTunnel } from '../support/loopback-tunnel.ts'
import { until } from '../support/until.ts'
import { pattern, serve, sha, udpServer } from './compliance.ts'
import { Caller, echo, handler, listenCompliance } from './listen-compliance.ts'
import { freePort, type Shadow, startAgent } from './shadows.ts'

const loopback = IpAddress.parse('127.0.0.1')

listenCompliance('the agent', async () => {
  const ports = { tcp: await freePort(), udp: await freePort() }
  const shadow = await startAgent({}, [
    { port: ports.tcp, protocol: 'TCP', http: false, original: undefined },
    { port: ports.udp, protocol: 'UDP', http: false, original: undefined },
  ])
  const transport = await openTcp('127.0.0.1', shadow.port)
  return {
    tunnel: await connectTunnel({ ...shadow, transport }),
    ports,
    cut: () => transport.destroy(new Error('cut by the test')),
    farConnections: () => shadow.relays(),
    stop: () => shadow.stop(),
  }
})
listenCompliance('the loopback', async () => {
  const tunnel = createLoopbackTunnel()
  return {
    tunnel,
    ports: { tcp: await freePort(), udp: await freePort() },
    cut: () => tunnel.lose('cut by the test'),
    farConnections: () => 0,
    stop: async () => {},
  }
})

/** A line to the agent that can be frozen as when a laptop sleeps: nothing passes, nothing breaks. */
async function line(to: number): Promise<{ port: number; freeze(): void; thaw(): void; stop(): void }> {
  const pairs: [Socket, Socket][] = []
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
      one.on('data', (chunk) => other.write(chunk))
    }
    pairs.push([near, far])
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    freeze: () => pairs.flat().forEach((socket) => void socket.pause()),
    thaw: () => pairs.flat().forEach((socket) => void socket.resume()),
    stop() {
      for (const socket of pairs.flat()) socket.destroy()
      server.close()
    },
  }
}

describe('ports of the agent', { timeout: 180_000 }, () => {
  const tunnels: ConnectedTunnel[] = []
  const stops: (() => void)[] = []
  let shadow: Shadow
  let tcp: AgentPort
  let bare: AgentPort
  let udp: AgentPort
  let http: AgentPort
  /** What the pods said that the Service had before. */
  let original: Endpoint

  before(async () => {
    const pods = await serve((socket) => {
      socket.on('data', (chunk) => {
        if (chunk.toString().startsWith('reset')) socket.resetAndDestroy()
        else socket.write(`original ${chunk.toString()}`)
      })
      socket.on('end', () => socket.end('bye'))
    })
    const udpPods = await udpServer((socket, payload, port) => socket.send(`original ${payload.toString()}`, port))
    stops.push(pods.stop, udpPods.stop)
    original = pods.endpoint
    tcp = { port: await freePort(), protocol: 'TCP', http: false, original }
    bare = { port: await freePort(), protocol: 'TCP', http: false, original: undefined }
    udp = { port: await freePort(), protocol: 'UDP', http: false, original: udpPods.endpoint }
    http = { port: await freePort(), protocol: 'TCP', http: true, original }
    shadow = await startAgent({}, [tcp, bare, udp, http])
  })
  after(async () => {
    for (const tunnel of tunnels) await tunnel.close()
    await shadow.stop()
    for (const stop of stops) stop()
  })

  async function open(port = shadow.port): Promise<ConnectedTunnel> {
    const tunnel = await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', port) })
    tunnels.push(tunnel)
    return tunnel
  }

  /** What a caller gets for one request, and how long it took. */
  async function request(port: AgentPort, text: string): Promise<{ answer: string; ms: number }> {
    const started = performance.now()
    const caller = new Caller(port.port)
    caller.socket.write(text)
    await caller.until(1)
    const ms = performance.now() - started
    caller.socket.destroy()
    return { answer: caller.text || caller.error || '', ms }
  }

  const echoing = (tunnel: Tunnel, port: AgentPort) =>
    tunnel.listen(port.port, port.protocol, handler({ onStream: (incoming) => void echo(incoming) }))

  const code = (wanted: string) => (error: unknown) => error instanceof TunnelError && error.code === wanted

  it('passes what nobody has claimed to the original, with its ends and resets', async () => {
    const caller = new Caller(tcp.port)
    caller.socket.write('hello')
    await caller.until(14)
    assert.equal(caller.text, 'original hello')
    caller.socket.end()
    await caller.closed
    assert.equal(caller.text, 'original hellobye')
    assert.equal(caller.error, undefined)
    assert.equal((await request(tcp, 'reset')).answer, 'ECONNRESET')
  })

  it('resets what nobody has claimed where there is no original', async () => {
    assert.equal((await request(bare, 'hello')).answer, 'ECONNRESET')
  })

  it('serves both families', async () => {
    const caller = new Caller(tcp.port, '::1')
    caller.socket.write('six')
    await caller.until(12)
    assert.equal(caller.text, 'original six')
    caller.socket.destroy()
  })

  it('passes what a client declines to the original, and waits for a client that shows that it is there', async () => {
    const tunnel = await open()
    const waiting: IncomingStream[] = []
    const listener = await tunnel.listen(tcp.port, 'TCP', handler({ onStream: (one) => void waiting.push(one) }), {
      patienceMs: 4_000,
    })
    // As when many ask all the time: each must see for itself that the client is there.
    const crowd: Caller[] = []
    for (let i = 0; i < 16; i++) {
      crowd.push(new Caller(tcp.port))
      crowd.at(-1)!.socket.write('hello')
      await new Promise((resolve) => setTimeout(resolve, 90))
    }
    const [declined, taken] = [new Caller(tcp.port), new Caller(tcp.port)]
    declined.socket.write('hello')
    taken.socket.write('hello')
    await until('all wait', () => waiting.length === 18)
    // Longer than a client may be silent.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    assert.equal(crowd.filter(({ received }) => received > 0).length, 0)
    for (const one of waiting)
      if (one.origin.port === taken.socket.localPort) echo(one)
      else one.decline('my program is away')
    await declined.until(14)
    await taken.until(5)
    assert.deepEqual([declined.text, taken.text], ['original hello', 'hello'])
    for (const caller of [declined, taken, ...crowd]) caller.socket.destroy()
    await listener.close()
  })

  it('answers a connection that ends without a word, where a client has asked for that, and no other', async () => {
    const tunnel = await open()
    const empty = async () => {
      const caller = new Caller(tcp.port)
      caller.socket.end()
      await caller.closed
      return caller.text
    }
    assert.equal(await empty(), 'bye', 'the original as ever')
    const listener = await echoing(tunnel, tcp)
    assert.equal(tunnel.answerEmpty(Buffer.from('kt 4711\n')), true)
    await tunnel.probe(1_000)
    assert.equal(await empty(), 'kt 4711\n')
    const caller = new Caller(tcp.port)
    const text = pattern(300_000, 1)
    caller.socket.end(text)
    await caller.closed
    assert.equal(caller.hash.digest('hex'), sha(text), 'what was looked at is passed on whole')
    const silent = new Caller(tcp.port)
    await new Promise((resolve) => setTimeout(resolve, 100))
    silent.socket.write('late')
    await silent.until(4)
    assert.equal(silent.text, 'late')
    silent.socket.destroy()
    await listener.close()
  })

  it('passes on the end or the reset of a connection that it looked at, whenever it comes', async () => {
    const tunnel = await open()
    const streams: IncomingStream[] = []
    let over = 0
    const onStream = (incoming: IncomingStream) => {
      streams.push(incoming)
      const quiet = { onOpen() {}, onFail() {}, onDrain() {}, onData() {} }
      setTimeout(() => {
        const stream = incoming.accept({ ...quiet, onEnd: () => stream.end(), onClose: () => void over++ })
      }, 20)
    }
    const listener = await tunnel.listen(tcp.port, 'TCP', handler({ onStream }))
    assert.equal(tunnel.answerEmpty(Buffer.from('kt 4711\n')), true)
    await tunnel.probe(1_000)
    for (const how of ['end', 'resetAndDestroy'] as const) {
      const callers: Caller[] = []
      for (let ms = 30; ms < 110; ms++) {
        const caller = new Caller(tcp.port)
        callers.push(caller)
        setTimeout(() => caller.socket[how](), ms)
      }
      const open = new Set(callers.keys())
      callers.forEach(({ closed }, i) => void closed.then(() => open.delete(i)))
      const closed = () => open.size === 0
      await until('all are closed', closed).catch(() =>
        assert.fail(
          `${how} after ${[...open].map((i) => i + 30).join(', ')} ms: never closed; ${over} of ${streams.length} told`,
        ),
      )
      const told = () => over === streams.length
      await until('all ends are told', told).catch(() => assert.fail(`${how}: ${over} of ${streams.length} are told`))
    }
    await listener.close()
  })

  it('lets the first connections of a pod that has just started wait for its client', async () => {
    const port: AgentPort = { ...tcp, port: await freePort() }
    const young = await startAgent({}, [port], 60_000)
    const caller = new Caller(port.port)
    caller.socket.write('early')
    const tunnel = await connectTunnel({ ...young, transport: await openTcp('127.0.0.1', young.port) })
    await tunnel.probe(1_000)
    assert.equal(caller.received, 0)
    await echoing(tunnel, port)
    await caller.until(5)
    assert.equal(caller.text, 'early')
    caller.socket.destroy()
    await tunnel.close()
    // It has had its client: what comes now goes to the original at once.
    assert.equal((await request(port, 'later')).answer, 'original later')
    await young.stop()
    const old: AgentPort = { ...tcp, port: await freePort() }
    const alone = await startAgent({}, [old], 50)
    assert.equal((await request(old, 'nobody')).answer, 'original nobody')
    await alone.stop()
  })

  it('passes to the original again when the port is given back, and keeps what is open', async () => {
    const tunnel = await open()
    const listener = await echoing(tunnel, tcp)
    const caller = new Caller(tcp.port)
    caller.socket.write('one')
    await caller.until(3)
    assert.equal(caller.text, 'one')
    await listener.close()
    assert.equal((await request(tcp, 'two')).answer, 'original two')
    caller.socket.write('more')
    await caller.until(7)
    assert.equal(caller.text, 'onemore')
    caller.socket.destroy()
    await (await echoing(tunnel, tcp)).close()
  })

  it('gives a port to one claimant, and says who may not', async () => {
    const [one, two] = [await open(), await open()]
    const listener = await echoing(one, tcp)
    await assert.rejects(echoing(one, tcp), code('port-in-use'))
    await assert.rejects(echoing(two, tcp), code('port-in-use'))
    await assert.rejects(two.listen(1, 'TCP', handler({})), code('no-port'))
    await assert.rejects(two.listen(tcp.port, 'UDP', handler({})), code('no-port'))
    const match = { header: 'kt-version', value: 'abc', prefix: false }
    await assert.rejects(two.listen(tcp.port, 'TCP', handler({}), { match }), code('no-port'))
    await assert.rejects(two.listen(http.port, 'TCP', handler({})), code('no-port'))
    await listener.close()
    await (await echoing(two, tcp)).close()
  })

  it('gives a port with HTTP routing to one claimant for each match', async () => {
    const [one, two] = [await open(), await open()]
    const match = { header: 'kt-version', value: 'abc', prefix: false }
    const first = await one.listen(http.port, 'TCP', handler({}), { match })
    await assert.rejects(
      two.listen(http.port, 'TCP', handler({}), { match: { ...match, header: 'KT-Version' } }),
      code('port-in-use'),
    )
    const second = await two.listen(http.port, 'TCP', handler({}), { match: { ...match, value: 'def' } })
    const third = await (await open()).listen(http.port, 'TCP', handler({}), { match: { ...match, prefix: true } })
    for (const listener of [first, second, third]) await listener.close()
  })

  it('brings each request of a port with HTTP routing to who has claimed its header, and the rest to the original', async () => {
    const answer = (who: string) => (incoming: IncomingStream) => {
      const response = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${who.length}\r\n\r\n${who}`)
      const stream = incoming.accept({
        onOpen() {},
        onFail() {},
        onData(chunk) {
          stream.consumed(chunk.length)
          stream.write(response, 0, response.length)
        },
        onEnd: () => stream.end(),
        onDrain() {},
        onClose() {},
      })
    }
    const match = { header: 'kt-version', value: 'abc', prefix: false }
    const tunnel = await open()
    const other = await open()
    const listeners = [
      await tunnel.listen(http.port, 'TCP', handler({ onStream: answer('abc is here') }), { match }),
      await other.listen(http.port, 'TCP', handler({ onStream: answer('def is here') }), {
        match: { ...match, value: 'def' },
      }),
    ]
    const caller = new Caller(http.port)
    const ask = async (version: string, expected: RegExp) => {
      const before = caller.text.length
      caller.socket.write(`GET / HTTP/1.1\r\nHost: web\r\nkt-version: ${version}\r\n\r\n`)
      while (!expected.test(caller.text.slice(before)) && !caller.error) await caller.until(caller.received + 1)
      assert.match(caller.text.slice(before), expected)
    }
    await ask('abc', /abc is here$/)
    await ask('def', /def is here$/)
    await ask('abc', /abc is here$/)
    caller.socket.destroy()
    const stranger = new Caller(http.port)
    stranger.socket.write('GET / HTTP/1.1\r\nHost: web\r\nkt-version: ab\r\n\r\n')
    await stranger.until(1)
    // The original of these tests answers with what it got, which is no HTTP.
    assert.match(stranger.text, /^original GET|^HTTP\/1.1 502/)
    stranger.socket.destroy()
    for (const listener of listeners) await listener.close()
  })

  it('frees the ports of a session that ends', async () => {
    const one = await open()
    await echoing(one, tcp)
    await one.close()
    const two = await open()
    for (;;) {
      const listener = await echoing(two, tcp).catch(() => undefined)
      await listener?.close()
      if (listener) break
    }
    assert.equal((await request(tcp, 'x')).answer, 'original x')
    await assert.rejects(echoing(one, tcp), code('lost'))
  })

  it('serves from the original within about a second when the client sleeps, at once after that, and from the client when it wakes', async () => {
    const slow = await line(shadow.port)
    const tunnel = await open(slow.port)
    let asked = 0
    await tunnel.listen(
      tcp.port,
      'TCP',
      handler({
        onStream(incoming) {
          asked++
          echo(incoming)
        },
      }),
    )
    assert.equal((await request(tcp, 'awake')).answer, 'awake')
    slow.freeze()
    const first = await Promise.all([request(tcp, 'a'), request(tcp, 'b')])
    assert.deepEqual(first.map(({ answer }) => answer).sort(), ['original a', 'original b'])
    for (const { ms } of first) assert.ok(ms > 900 && ms < 10_000, `${ms} ms`)
    assert.equal((await request(tcp, 'c')).answer, 'original c')
    slow.thaw()
    await tunnel.probe(10_000)
    // The two it slept through, late; it was not asked for the third.
    assert.equal(asked, 3)
    assert.equal((await request(tcp, 'awake again')).answer, 'awake again')
    await tunnel.close()
    slow.stop()
  })

  it('resets a caller whom the claimant refuses, though there is an original', async () => {
    const tunnel = await open()
    const listener = await tunnel.listen(tcp.port, 'TCP', handler({}))
    assert.equal((await request(tcp, 'a')).answer, 'ECONNRESET')
    await listener.close()
  })

  it('serves from the original when the client’s program does not answer, and asks it again', async () => {
    const tunnel = await open()
    let come = 0
    await tunnel.listen(tcp.port, 'TCP', handler({ onStream: () => void come++ }))
    const waiting = request(tcp, 'a')
    await tunnel.probe(10_000)
    assert.equal((await waiting).answer, 'original a')
    const before = come
    const again = request(tcp, 'b')
    while (come === before) await tunnel.probe(10_000)
    assert.equal((await again).answer, 'original b')
    await tunnel.close()
  })

  it('resets nobody who waits when the session is lost: the original serves', async () => {
    const tunnel = await open()
    const come = new Promise<void>((resolve) => {
      void tunnel.listen(tcp.port, 'TCP', handler({ onStream: () => resolve() }))
    })
    await tunnel.probe(10_000)
    const waiting = request(tcp, 'a')
    await come
    await tunnel.close()
    assert.equal((await waiting).answer, 'original a')
  })

  it('closes a connection that is taken too late', async () => {
    const tunnel = await open()
    let close: (reason: string) => void = () => {}
    const closed = new Promise<string>((resolve) => {
      close = resolve
    })
    await tunnel.listen(
      tcp.port,
      'TCP',
      handler({
        onStream: (incoming) =>
          void setTimeout(() => {
            const probe = echo(incoming)
            void probe.event('close').then(close)
          }, 1300),
      }),
    )
    assert.equal((await request(tcp, 'a')).answer, 'original a')
    assert.equal(await closed, 'close reset')
    await tunnel.close()
  })

  it('gives the port of a client that does not answer any more to the next, and tells it when it wakes', async () => {
    const slow = await line(shadow.port)
    const sleeper = await open(slow.port)
    let tell: (message: string) => void = () => {}
    const told = new Promise<string>((resolve) => {
      tell = resolve
    })
    await sleeper.listen(tcp.port, 'TCP', handler({ onLost: tell }))
    slow.freeze()
    const tunnel = await open()
    const listener = await echoing(tunnel, tcp)
    assert.equal((await request(tcp, 'mine')).answer, 'mine')
    slow.thaw()
    assert.match(await told, /claimed by another client/)
    await listener.close()
    await sleeper.close()
    slow.stop()
  })

  describe('for datagrams', () => {
    /** Asked again until answered: datagrams to a session that has just gone are lost. */
    async function exchange(socket: UdpSocket, text: string): Promise<string> {
      const send = () => socket.send(text, udp.port, '127.0.0.1')
      const timer = setInterval(send, 300)
      const answer = await new Promise<string>((resolve) => {
        socket.on('message', (payload) => {
          if (payload.toString().endsWith(` ${text}`)) resolve(payload.toString())
        })
        send()
      })
      clearInterval(timer)
      return answer
    }
    const mine = (tunnel: Tunnel) =>
      tunnel.listen(
        udp.port,
        'UDP',
        handler({
          onDatagrams(incoming) {
            const flow = incoming.accept({
              onDatagram: (payload) => flow.send(Buffer.from(`mine ${payload}`)),
              onFail() {},
            })
          },
        }),
      )

    it('uses the original when nobody has claimed them, the claimant when one has', async () => {
      const [first, second] = [createSocket('udp4'), createSocket('udp4')]
      assert.equal(await exchange(first, 'a'), 'original a')
      const tunnel = await open()
      const listener = await mine(tunnel)
      assert.equal(await exchange(second, 'b'), 'mine b')
      assert.equal(await exchange(second, 'c'), 'mine c')
      assert.equal(await exchange(first, 'd'), 'original d')
      assert.equal(tunnel.stats.datagramFlows, 1)
      await listener.close()
      await tunnel.close()
      assert.equal(await exchange(second, 'e'), 'original e')
      first.close()
      second.close()
    })

    it('uses IPv6 as well', async () => {
      const tunnel = await open()
      const listener = await mine(tunnel)
      const socket = createSocket('udp6')
      const answer = await new Promise<string>((resolve) => {
        socket.once('message', (payload) => resolve(payload.toString()))
        socket.send('six', udp.port, '::1')
      })
      assert.equal(answer, 'mine six')
      socket.close()
      await listener.close()
      await tunnel.close()
    })

    it('uses the original when the client sleeps', async () => {
      const slow = await line(shadow.port)
      const tunnel = await open(slow.port)
      await mine(tunnel)
      const [old, fresh] = [createSocket('udp4'), createSocket('udp4')]
      assert.equal(await exchange(old, 'awake'), 'mine awake')
      slow.freeze()
      assert.equal(await exchange(fresh, 'a'), 'original a')
      assert.equal(await exchange(old, 'b'), 'original b')
      old.close()
      fresh.close()
      slow.thaw()
      await tunnel.close()
      slow.stop()
    })
  })

  it('moves 20 MB to the original and back unchanged', async () => {
    const far = await serve((socket) => socket.pipe(socket))
    const port = await freePort()
    const agent = await startAgent({}, [{ port, protocol: 'TCP', http: false, original: far.endpoint }])
    const caller = new Caller(port)
    const payload = pattern(20_000_000, 7)
    await caller.send(payload)
    caller.socket.end()
    await caller.closed
    assert.equal(caller.hash.digest('hex'), sha(payload))
    await agent.stop()
    far.stop()
  })

  it('resets a caller whose original is not there', async () => {
    const port = await freePort()
    const gone = { address: loopback, port: await freePort() }
    const agent = await startAgent({}, [{ port, protocol: 'TCP', http: false, original: gone }])
    const caller = new Caller(port)
    await caller.closed
    assert.equal(caller.error, 'ECONNRESET')
    await agent.stop()
  })
})
