// The WebSocket and the port-forward on it: frames by property, and against the `ws` package's server as the other opinion.
import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { type WebSocket, WebSocketServer } from 'ws'
import { connectTunnel, pathTransport, type Transport, TunnelError } from '../../src/tunnel/index.ts'
import { FrameDecoder, Opcode } from '../../src/tunnel/transport/websocket/frame.ts'
import { openWebSocketForward } from '../../src/tunnel/transport/websocket/portforward.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { serverFrame } from '../support/web-socket-frames.ts'
import { Probe } from './compliance.ts'
import { type Shadow, startAgent } from './shadows.ts'

const sizes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 65_500, max: 65_600 }))
const bytes = sizes.map((size) => Buffer.alloc(size, 'frame'))

describe('WebSocket frames', () => {
  it('come out the same however the stream is cut', () => {
    const message = fc.record({ parts: fc.array(bytes, { minLength: 1, maxLength: 3 }), ping: fc.boolean() })
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 70_000 })),
        (messages, cuts) => {
          const frames: Buffer[] = []
          for (const { parts, ping } of messages) {
            parts.forEach((part, i) => {
              frames.push(serverFrame(i === 0 ? Opcode.binary : Opcode.continuation, part, i === parts.length - 1))
              if (ping) frames.push(serverFrame(Opcode.ping, Buffer.from('alive?')))
            })
          }
          const stream = Buffer.concat(frames)
          const got: Buffer[][] = []
          let pings = 0
          const decoder = new FrameDecoder({
            onPiece(piece, first) {
              if (first) got.push([])
              got.at(-1)!.push(Buffer.from(piece))
            },
            onPing(payload) {
              assert.equal(payload.toString(), 'alive?')
              pings++
            },
            onClose: () => assert.fail(),
          })
          let p = 0
          for (const cut of [...cuts, stream.length]) {
            decoder.push(stream.subarray(p, Math.min(stream.length, p + cut)))
            p = Math.min(stream.length, p + cut)
          }
          const wanted = messages.map(({ parts }) => Buffer.concat(parts)).filter((whole) => whole.length > 0)
          assert.deepEqual(
            got.map((pieces) => Buffer.concat(pieces)),
            wanted,
          )
          assert.equal(
            pings,
            messages.reduce((sum, { parts, ping }) => sum + (ping ? parts.length : 0), 0),
          )
        },
      ),
      { numRuns: 60 },
    )
  })

  it('are refused when they break the rules', () => {
    const push = (...frames: Buffer[]) => {
      const decoder = new FrameDecoder({ onPiece() {}, onPing() {}, onClose() {} })
      for (const frame of frames) decoder.push(frame)
    }
    const masked = serverFrame(Opcode.binary, Buffer.from('x'))
    masked[1] |= 0x80
    assert.throws(() => push(masked), /masks/)
    assert.throws(() => push(serverFrame(Opcode.continuation, Buffer.from('x'))), /order/)
    const reserved = serverFrame(Opcode.binary, Buffer.from('x'))
    reserved[0] |= 0x40
    assert.throws(() => push(reserved), /reserved/)
    assert.throws(() => push(serverFrame(Opcode.ping, Buffer.alloc(126))), /too long/)
    assert.throws(() => push(serverFrame(Opcode.close, Buffer.of(3))), /half a status/)
    // RFC 6455 7.4.1 and 7.4.2: 1005, 1006 and 1015 are never sent, and nothing below 1000 is.
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 5000])
      assert.throws(
        () => push(serverFrame(Opcode.close, Buffer.of(code >> 8, code & 255))),
        /a close frame with the status/,
      )
  })
})

/** What the API server does: each channel begins with the port number; data of channel 0 goes to and from a TCP connection. */
class ForwardServer {
  readonly #http = createHttpServer((_request, response) => {
    response.writeHead(403, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ kind: 'Status', message: 'pods "x" is forbidden' }))
  })
  readonly #server = new WebSocketServer({ noServer: true, handleProtocols: () => 'v4.channel.k8s.io' })
  /** Cut messages into frames this small, as no API server does but may. */
  fragment = Number.POSITIVE_INFINITY
  errorText: string | undefined
  forbidden = false
  targetPort = 0
  messages: Buffer[] = []

  async start(): Promise<string> {
    this.#http.on('upgrade', (request, socket, head) => {
      if (this.forbidden) {
        const body = JSON.stringify({ kind: 'Status', message: 'pods "x" is forbidden' })
        socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
        return
      }
      this.#server.handleUpgrade(request, socket, head, (ws) => this.#forward(ws))
    })
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve))
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/portforward?ports=2222`
  }

  stop(): void {
    for (const ws of this.#server.clients) ws.terminate()
    this.#http.close()
    this.#http.closeAllConnections()
  }

  #forward(ws: WebSocket): void {
    const portMessage = (channel: number) => ws.send(Buffer.of(channel, 2222 & 255, 2222 >> 8))
    portMessage(0)
    portMessage(1)
    if (this.errorText) {
      ws.send(Buffer.concat([Buffer.of(1), Buffer.from(this.errorText)]))
      return
    }
    const socket: Socket = connect(this.targetPort, '127.0.0.1')
    socket.on('data', (chunk) => {
      const message = Buffer.concat([Buffer.of(0), chunk])
      for (let p = 0; p < message.length; p += this.fragment)
        ws.send(message.subarray(p, p + this.fragment), { fin: p + this.fragment >= message.length })
    })
    socket.on('error', () => {})
    socket.on('close', () => ws.close())
    ws.on('message', (message: Buffer) => {
      assert.equal(message[0], 0)
      socket.write(message.subarray(1))
    })
    ws.on('close', () => socket.destroy())
  }
}

it('a close frame without a status is answered with one without, another with its own', async () => {
  for (const code of [undefined, 1000, 1011, 4001]) {
    const http = createHttpServer()
    const server = new WebSocketServer({ server: http, handleProtocols: () => 'v4.channel.k8s.io' })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const answered = new Promise((resolve, reject) =>
      server.on('connection', (ws) => {
        ws.on('error', reject)
        ws.on('close', resolve)
        ws.close(code)
      }),
    )
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/`
    const transport = pathTransport(await openWebSocketForward({ url, headers: {}, tls: { rejectUnauthorized: true } }))
    transport.start(
      () => {},
      () => {},
    )
    assert.equal(await answered, code ?? 1005)
    transport.destroy()
    server.close()
    http.close()
  }
})

describe('port-forward', () => {
  let shadow: Shadow
  let server: ForwardServer
  let url: string
  before(async () => {
    shadow = await startAgent()
    server = new ForwardServer()
    server.targetPort = shadow.port
    url = await server.start()
  })
  after(async () => {
    server.stop()
    await shadow.stop()
  })

  const endpoint = () => ({ url, headers: { Authorization: 'Bearer x' }, tls: { rejectUnauthorized: true } })

  async function echoThrough(transport: Transport): Promise<void> {
    const tunnel = await connectTunnel({ ...shadow, transport })
    const echo = createServer((socket) => socket.pipe(socket))
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    const probe = new Probe(tunnel, {
      address: IpAddress.parse('127.0.0.1'),
      port: (echo.address() as AddressInfo).port,
    })
    await probe.event('open')
    const payload = Buffer.alloc(3_000_000, 'port-forward')
    await probe.send(payload)
    probe.stream.end()
    assert.equal(await probe.event('close'), 'close closed')
    assert.equal(probe.received, payload.length)
    await tunnel.close()
    echo.close()
  }

  it('carries a tunnel', async () => echoThrough(pathTransport(await openWebSocketForward(endpoint()))))

  it('carries a tunnel in fragments of one byte and more', async () => {
    server.fragment = 1
    const transport = pathTransport(await openWebSocketForward(endpoint()))
    const tunnel = await connectTunnel({ ...shadow, transport })
    assert.ok((await tunnel.probe(5000)) >= 0)
    server.fragment = 1000
    await tunnel.probe(5000)
    await tunnel.close()
    server.fragment = Number.POSITIVE_INFINITY
  })

  it('goes through an HTTP proxy', async () => {
    const asked: string[] = []
    const proxy = createHttpServer()
    proxy.on('connect', (request, socket, head) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization']}`)
      const [host, port] = request.url!.split(':')
      const onward = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        onward.write(head)
        socket.pipe(onward)
        onward.pipe(socket)
      })
      onward.on('error', () => socket.destroy())
      socket.on('error', () => onward.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.address() as AddressInfo
    await echoThrough(
      pathTransport(await openWebSocketForward({ ...endpoint(), proxy: `http://me:secret@127.0.0.1:${port}` })),
    )
    assert.deepEqual(asked, [`${new URL(url).host} Basic ${Buffer.from('me:secret').toString('base64')}`])
    proxy.close()
    proxy.closeAllConnections()
  })

  it('says what the API server said', async () => {
    server.forbidden = true
    await assert.rejects(
      openWebSocketForward(endpoint()),
      (error) =>
        error instanceof TunnelError && error.code === 'unreachable' && /403 pods "x" is forbidden/.test(error.message),
    )
    server.forbidden = false
  })

  it('says what came on the error channel', async () => {
    server.errorText = 'error forwarding port 2222: no such container'
    await assert.rejects(
      connectTunnel({ ...shadow, transport: pathTransport(await openWebSocketForward(endpoint())) }),
      (error) => error instanceof TunnelError && /error forwarding port 2222/.test(error.message),
    )
    server.errorText = 'error forwarding port 2222: dial tcp4 127.0.0.1:2222: connect: connection refused'
    await assert.rejects(
      connectTunnel({ ...shadow, transport: pathTransport(await openWebSocketForward(endpoint())) }),
      (error) => error instanceof TunnelError && error.code === 'unreachable' && /nothing listens/.test(error.message),
    )
    server.errorText = undefined
  })

  it('gives up on a server that does not answer', async () => {
    const mute = createServer(() => {})
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as AddressInfo
    await assert.rejects(
      openWebSocketForward({ ...endpoint(), url: `ws://127.0.0.1:${port}/` }, 50),
      (error) => error instanceof TunnelError && error.code === 'timeout',
    )
    mute.close()
  })

  it('says that nobody listens', async () => {
    await assert.rejects(
      openWebSocketForward({ ...endpoint(), url: 'ws://127.0.0.1:1/' }),
      (error) =>
        error instanceof TunnelError &&
        error.code === 'unreachable' &&
        /^127\.0\.0\.1:\d+ refuses the connection$/.test(error.message),
    )
  })
})
