// The bodies of the frame channel as each side reads the other's: what is wrong gets an answer that says so, and costs the
// session that said it at most.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import type { AgentPort } from '../../src/shadow/ports.ts'
import { readAgentHello, readClientHello, readListen } from '../../src/tunnel/agent-protocol/bodies.ts'
import { FrameChannel } from '../../src/tunnel/agent-protocol/frame-channel.ts'
import { FRAME_CHANNEL, FrameType, PROTOCOL_VERSION } from '../../src/tunnel/agent-protocol/frames.ts'
import { connectTunnel, openTcp, type TunnelError } from '../../src/tunnel/index.ts'
import { createSshServer } from '../../src/tunnel/ssh/ssh-server.ts'
import { openSession } from '../../src/tunnel/ssh/ssh-session.ts'
import { until } from '../support/until.ts'
import { Caller, handler } from './listen-compliance.ts'
import { freePort, type Shadow, startAgent } from './shadows.ts'

const webHeader = { header: 'kt-version', value: 'abc', prefix: false }

describe('LISTEN', () => {
  const body = (value: unknown) => readListen(Buffer.from(JSON.stringify(value) ?? ''))
  const http = (match: unknown) => body({ port: 80, protocol: 'TCP', match })

  it('is read as it is written', () => {
    assert.deepEqual(http(webHeader), { body: { port: 80, protocol: 'TCP', match: webHeader } })
    assert.deepEqual(body({ port: 53, protocol: 'UDP' }), { body: { port: 53, protocol: 'UDP' } })
    for (const value of ['a', 'kt=ann', 'x'.repeat(1000)]) assert.ok('body' in http({ ...webHeader, value }))
    assert.ok('body' in http({ header: 'user-agent', value: 'my phone', prefix: false }))
  })

  for (const [what, read, words] of [
    ['nothing', readListen(Buffer.alloc(0)), /not JSON/],
    ['bytes', readListen(Buffer.from([0, 255, 1])), /not JSON/],
    ['null', body(null), /an object is needed/],
    ['a list', body([]), /an object is needed/],
    ['a number', body(80), /an object is needed/],
    ['no port', body({ protocol: 'TCP' }), /port must be/],
    ['port 0', body({ port: 0, protocol: 'TCP' }), /port must be/],
    ['port 80.5', body({ port: 80.5, protocol: 'TCP' }), /port must be/],
    ['a port in words', body({ port: '80', protocol: 'TCP' }), /port must be/],
    ['SCTP', body({ port: 80, protocol: 'SCTP' }), /protocol must be/],
    ['port 65536', body({ port: 65_536, protocol: 'TCP' }), /port must be/],
    ['a patience in words', body({ port: 80, protocol: 'TCP', patience: 'long' }), /patience must be/],
    ['a patience below 0', body({ port: 80, protocol: 'TCP', patience: -1 }), /patience/],
    ['the match null', http(null), /match must be/],
    ['the match a text', http('kt-version'), /match must be/],
    ['no header', http({ value: 'a', prefix: false }), /header must be/],
    ['a header that is an object', http({ header: {}, value: 'a', prefix: false }), /header must be/],
    ['a prefix in words', http({ ...webHeader, prefix: 'yes' }), /prefix must be/],
    ['an empty value', http({ ...webHeader, value: '' }), /cannot be a header's value/],
    ['an empty prefix', http({ ...webHeader, value: '', prefix: true }), /before the \*/],
    ['a long value', http({ ...webHeader, value: 'x'.repeat(1001) }), /cannot be a header's value/],
    ['a value with a line break', http({ ...webHeader, value: 'a\r\nb' }), /cannot be a header's value/],
    ['a pseudo-header', http({ header: ':path', value: '/', prefix: true }), /":path" cannot be a header/],
    ['Host', http({ header: 'Host', value: 'web', prefix: true }), /all versions have the header host/],
    ['X-Forwarded-For', http({ header: 'X-Forwarded-For', value: '10.', prefix: true }), /all versions have/],
    ['TE', http({ header: 'te', value: 'trailers', prefix: false }), /all versions have/],
    ['every browser', http({ header: 'User-Agent', value: 'Mozilla', prefix: true }), /too many requests/],
  ] as const)
    it(`is refused: ${what}`, () => {
      assert.ok('wrong' in read, JSON.stringify(read))
      assert.match(read.wrong, words)
    })
})

describe('HELLO', () => {
  const client = (value: object) =>
    readClientHello(Buffer.from(JSON.stringify({ protocol: 1, client: 'kt', ...value })))
  const agent = (value: object) => readAgentHello(Buffer.from(JSON.stringify({ protocol: 1, agent: 'kt', ...value })))

  it('is read as it is written, and an agent that does not tell what it can has no UDP and no ping', () => {
    const line = 'k'.repeat(100)
    const said = { protocol: 1, client: 'c'.repeat(200), arrivals: 0, line }
    assert.deepEqual(client(said), { body: said })
    const capabilities = { udp: true, ping: true, reset: false, answersEmpty: true }
    const whole = {
      ...{ protocol: 2, agent: 'a'.repeat(200), session: 's', addresses: ['10.0.0.1', 'fd00::1'], resolvConf: 'x' },
      ...{ arrivals: 1.5, capabilities, line: true, error: 'e' },
    }
    assert.deepEqual(agent(whole), { body: whole })
    const silent = { protocol: 1, agent: 'kt', addresses: [], capabilities: { udp: false, ping: false, reset: true } }
    assert.deepEqual(agent({}), { body: silent })
    assert.deepEqual(agent({ capabilities: {} }), { body: silent })
  })

  for (const [what, read, words] of [
    ['a client of protocol 0', client({ protocol: 0 }), /protocol/],
    ['a client with a long name', client({ client: 'c'.repeat(201) }), /client must be short/],
    ['a client whose name is a number', client({ client: 1 }), /client must be text/],
    ['a client with a long key', client({ line: 'k'.repeat(101) }), /line must be short/],
    ['a client whose key is a number', client({ line: 1 }), /line must be text/],
    ['arrivals below 0', client({ arrivals: -1 }), /arrivals/],
    ['an agent with a long name', agent({ agent: 'a'.repeat(201) }), /./],
    ['an agent whose session is a list', agent({ session: [] }), /session/],
    ['an agent with an address that is none', agent({ addresses: ['10.0.0.1', 'x'] }), /addresses\.1/],
    ['an agent whose resolv.conf is a number', agent({ resolvConf: 1 }), /resolvConf/],
    ['an agent whose line is a text', agent({ line: 'yes' }), /line/],
    ['an agent whose error is an object', agent({ error: {} }), /error/],
    ['an agent that can ping in words', agent({ capabilities: { ping: 'yes' } }), /capabilities\.ping/],
  ] as const)
    it(`is refused: ${what}`, () => {
      assert.ok('wrong' in read, JSON.stringify(read))
      assert.match(read.wrong, words)
    })
})

describe('what a client says to the agent', () => {
  let shadow: Shadow
  let http: AgentPort
  const stops: (() => void)[] = []
  before(async () => {
    const pods = createServer((socket) =>
      socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\noriginal'),
    )
    await new Promise<void>((resolve) => pods.listen(0, '127.0.0.1', resolve))
    stops.push(() => pods.close())
    const { IpAddress } = await import('../../src/wire/address.ts')
    const original = { address: IpAddress.parse('127.0.0.1'), port: (pods.address() as { port: number }).port }
    http = { port: await freePort(), protocol: 'TCP', http: true, original }
    shadow = await startAgent({}, [http])
  })
  after(async () => {
    await shadow.stop()
    for (const stop of stops) stop()
  })

  /** A session whose frames are ours to choose. */
  async function raw() {
    const session = await openSession({
      ...shadow,
      transport: await openTcp('127.0.0.1', shadow.port),
      timeoutMs: 10_000,
      clock: systemClock,
    })
    const got: string[] = []
    const frames = new FrameChannel(session.mux, {
      onFrame: (type, id, body) => got.push(`${type} ${id} ${body}`),
      onGone: () => got.push('gone'),
    })
    frames.attach(session.mux.openChannel(FRAME_CHANNEL, frames))
    return { frames, got, close: () => session.client.destroy() }
  }

  /** Somebody else's version is claimed and reached meanwhile. */
  async function othersAreServed(): Promise<void> {
    const tunnel = await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })
    const listener = await tunnel.listen(http.port, 'TCP', handler({}), { match: webHeader })
    const caller = new Caller(http.port)
    caller.socket.write('GET / HTTP/1.1\r\nHost: web\r\n\r\n')
    await until('the original answers', () => caller.text.endsWith('original'))
    caller.socket.destroy()
    await listener.close()
    await tunnel.close()
  }

  for (const [what, type, body, answer] of [
    ['LISTEN null', FrameType.listen, 'null', '18 7 EINVAL: an object is needed'],
    [
      'LISTEN with a match of null',
      FrameType.listen,
      () => `{"port":${http.port},"protocol":"TCP","match":null}`,
      /^18 7 EINVAL: match/,
    ],
    [
      'LISTEN for every host',
      FrameType.listen,
      () => `{"port":${http.port},"protocol":"TCP","match":{"header":"host","value":"w","prefix":true}}`,
      /^18 7 EINVAL: .* host$/,
    ],
    ['LISTEN without JSON', FrameType.listen, '{', '18 7 EINVAL: this is not JSON'],
    ['UDP_OPEN without an address', FrameType.udpOpen, '\x04\x01', '7 7 EINVAL'],
    ['UDP_OPEN to port 0', FrameType.udpOpen, '\x04\x7f\0\0\x01\0\0x', '7 7 EINVAL'],
    ['PING without an address', FrameType.ping, '\0\0\0\x01', '9 7 \0'],
    ['PROBE with too few bytes', FrameType.probe, '\x01', '3 7 '],
    ['HELLO null', FrameType.hello, 'null', /^1 0 .*EINVAL: an object is needed/],
    ['HELLO without JSON', FrameType.hello, '\xff{', /^1 0 .*EINVAL: this is not JSON/],
    ['HELLO of protocol 0', FrameType.hello, '{"protocol":0,"client":"x"}', /^1 0 .*EINVAL: protocol must be/],
    [
      'HELLO whose arrivals are words',
      FrameType.hello,
      '{"protocol":1,"client":"x","arrivals":"soon"}',
      /^1 0 .*EINVAL: arrivals/,
    ],
    [
      'HELLO of a later protocol',
      FrameType.hello,
      '{"protocol":9,"client":"x"}',
      new RegExp(`^1 0 .*"protocol":${PROTOCOL_VERSION},.*"session"`),
    ],
  ] as [string, number, string | (() => string), string | RegExp][])
    it(`${what} is answered, and the agent goes on`, async () => {
      const { frames, got, close } = await raw()
      frames.send(
        type,
        type === FrameType.hello ? 0 : 7,
        Buffer.from(typeof body === 'string' ? body : body(), 'latin1'),
      )
      await until('an answer', () => got.length > 0)
      if (typeof answer === 'string') assert.equal(got[0], answer)
      else assert.match(got[0], answer)
      if (got[0].includes('"error"')) await until('the channel ends', () => got.includes('gone'))
      await othersAreServed()
      close()
    })

  it('frames of every type with bodies of no kind end that session at most', async () => {
    for (const body of ['', '\0', '\xff'.repeat(8), '{}', '[[[[', '\x06'.repeat(40)]) {
      const { frames, got, close } = await raw()
      for (let type = 0; type < 48; type++)
        for (const id of [0, 7, 0x8000_0007, 0xffff_ffff]) frames.send(type, id, Buffer.from(body, 'latin1'))
      frames.send(FrameType.probe, 99)
      await until('it is answered or ended', () => got.includes('3 99 ') || got.includes('gone'))
      close()
    }
    await othersAreServed()
  })
})

describe('what an agent says to a client', () => {
  for (const [what, hello, words] of [
    ['no JSON', '{', /its greeting cannot be read: this is not JSON/],
    ['null', 'null', /its greeting cannot be read/],
    ['protocol 0', '{"protocol":0,"agent":"x"}', /protocol must be a whole number from 1/],
    ['addresses that are none', '{"protocol":1,"agent":"x","addresses":["a"]}', /addresses/],
    ['capabilities in words', '{"protocol":1,"agent":"x","capabilities":"all"}', /capabilities/],
    ['that it refuses us', '{"protocol":1,"agent":"x","error":"EINVAL: so"}', /refused this client: EINVAL: so/],
  ] as const)
    it(`is refused: ${what}`, async () => {
      const host = generateSshKeyPair('host')
      const client = generateSshKeyPair('client')
      const agent = createSshServer({
        hostKey: host.privateKey,
        authorized: client.publicLine,
        clock: systemClock,
        lineWaitMs: 60_000,
        onPresence: () => {},
        log: () => {},
        onSession(mux) {
          mux.onIncoming = (request) => {
            const frames = new FrameChannel(mux, {
              onFrame: (type) => type === FrameType.hello && frames.send(FrameType.hello, 0, Buffer.from(hello)),
              onGone: () => {},
            })
            frames.attach(mux.accept(request, frames))
            return true
          }
          return { lost() {} }
        },
      })
      const server = createServer({ pauseOnConnect: true }, agent.serve)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      await assert.rejects(
        connectTunnel({
          kind: 'agent',
          username: 'kt',
          clientKey: client.privateKey,
          hostKey: host.publicKey,
          transport: await openTcp('127.0.0.1', (server.address() as { port: number }).port),
        }),
        (error: TunnelError) => error.code === 'protocol' && words.test(error.message),
      )
      agent.close()
      server.close()
    })
})
