// What every tunnel must do, whatever it is made of: one suite, run by tunnels.test.ts over each of them.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { DialFailure, IncomingStream, StreamHandler, Tunnel, TunnelStream } from '../../src/tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../../src/wire/address.ts'
import { until } from '../support/until.ts'

export interface Subject {
  tunnel: Tunnel
  /** Cuts the line under the tunnel. */
  cut(): void
  /** Connections the far side holds; 0 where it cannot tell. */
  farConnections(): number
  stop(): Promise<void>
}

export interface Traits {
  udp: boolean
  /** Resets are told even after a half-close. */
  resets: boolean
}

const loopback = IpAddress.parse('127.0.0.1')
const origin: Endpoint = { address: loopback, port: 4711 }

/** A stream with promises for what happens, and all that was received. */
export class Probe implements StreamHandler {
  readonly returnsChunks = true
  readonly stream: TunnelStream
  readonly events: string[] = []
  readonly hash = createHash('sha256')
  received = 0
  /** False: what comes is not acknowledged. */
  consume = true
  #drained: (() => void) | undefined
  #waiters: [() => boolean, () => void][] = []

  /** Dials `target` through a tunnel, or takes what comes in. */
  constructor(source: Tunnel | IncomingStream, target: Endpoint = origin) {
    this.stream = 'accept' in source ? source.accept(this) : source.openStream(target, origin, this)
  }

  onOpen(): void {
    this.#event('open')
  }
  onFail(reason: DialFailure): void {
    this.#event(`fail ${reason}`)
  }
  onData(chunk: Uint8Array): void {
    this.received += chunk.length
    this.hash.update(chunk)
    if (this.consume) this.stream.consumed(chunk.length)
    this.#check()
  }
  onEnd(): void {
    this.#event('end')
  }
  onDrain(): void {
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }
  onClose(reason: string): void {
    this.#event(`close ${reason}`)
    this.onDrain()
  }

  async until(condition: () => boolean): Promise<void> {
    if (!condition()) await new Promise<void>((resolve) => this.#waiters.push([condition, resolve]))
  }

  /** Resolves with the event when one that begins so has happened. */
  async event(start: string): Promise<string> {
    await this.until(() => this.events.some((event) => event.startsWith(start)))
    return this.events.find((event) => event.startsWith(start))!
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let p = 0; p < bytes.length; ) {
      const taken = this.stream.write(bytes, p, bytes.length)
      p += taken
      if (p < bytes.length) {
        if (this.events.some((event) => event.startsWith('close'))) throw new Error('closed in mid-write')
        await new Promise<void>((resolve) => {
          this.#drained = resolve
        })
      }
    }
  }

  #event(name: string): void {
    this.events.push(name)
    this.#check()
  }

  #check(): void {
    const ready = this.#waiters.filter(([condition]) => condition())
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter))
    for (const [, resolve] of ready) resolve()
  }
}

/** A TCP server on loopback for one test. */
export async function serve(
  onSocket: (socket: Socket) => void,
): Promise<{ endpoint: Endpoint; stop(): void; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))
  return {
    endpoint: { address: loopback, port: (server.address() as AddressInfo).port },
    sockets,
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

export async function udpServer(
  answer: (socket: UdpSocket, payload: Buffer, port: number) => void,
): Promise<{ endpoint: Endpoint; stop(): void }> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
  socket.on('message', (payload, from) => answer(socket, payload, from.port))
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return { endpoint: { address: loopback, port: socket.address().port }, stop: () => socket.close() }
}

export const pattern = (length: number, seed: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed + 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

export const sha = (...chunks: Uint8Array[]) => {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

export function tunnelCompliance(name: string, start: () => Promise<Subject>, traits: Traits, skip?: string): void {
  describe(name, { skip, timeout: 120_000 }, () => {
    let subject: Subject
    before(async () => {
      subject = await start()
    })
    after(async () => {
      await subject?.tunnel.close()
      await subject?.stop()
    })

    it('echoes', async () => {
      const echo = await serve((socket) => socket.pipe(socket))
      const probe = new Probe(subject.tunnel, echo.endpoint)
      await probe.event('open')
      await probe.send(Buffer.from('hello'))
      await probe.until(() => probe.received === 5)
      probe.stream.end()
      assert.equal(await probe.event('close'), 'close closed')
      assert.deepEqual(probe.events, ['open', 'end', 'close closed'])
      echo.stop()
    })

    it('lets the far side send after our FIN', async () => {
      const late = await serve((socket) => {
        socket.resume()
        socket.on('end', () => socket.end('after your end'))
      })
      const probe = new Probe(subject.tunnel, late.endpoint)
      await probe.event('open')
      probe.stream.end()
      assert.equal(await probe.event('close'), 'close closed')
      assert.equal(probe.received, 14)
      late.stop()
    })

    it('lets us send after the far side’s FIN', async () => {
      const got: Buffer[] = []
      let finished: () => void = () => {}
      const done = new Promise<void>((resolve) => {
        finished = resolve
      })
      const early = await serve((socket) => {
        socket.end('bye')
        socket.on('data', (chunk) => got.push(chunk))
        socket.on('end', finished)
      })
      const probe = new Probe(subject.tunnel, early.endpoint)
      await probe.event('end')
      await probe.send(pattern(300_000, 1))
      probe.stream.end()
      assert.equal(await probe.event('close'), 'close closed')
      await done
      assert.equal(sha(...got), sha(pattern(300_000, 1)))
      early.stop()
    })

    it('says that a dial was refused', async () => {
      const gone = await serve(() => {})
      gone.stop()
      const probe = new Probe(subject.tunnel, gone.endpoint)
      assert.equal(await probe.event('fail'), 'fail refused')
      assert.deepEqual(probe.events, ['fail refused'])
    })

    it('tells a reset in mid-download from an end', async () => {
      const server = await serve((socket) => {
        socket.write(pattern(1_000_000, 2))
        socket.once('data', () => socket.resetAndDestroy())
      })
      const probe = new Probe(subject.tunnel, server.endpoint)
      await probe.event('open')
      await probe.until(() => probe.received > 0)
      await probe.send(Buffer.from('now'))
      if (traits.resets) {
        assert.equal(await probe.event('close'), 'close reset')
        assert.ok(!probe.events.includes('end'))
      } else {
        // OpenSSH says EOF first; that we were not done shows in what comes of further writes.
        await probe.event('end')
        probe.stream.reset()
      }
      server.stop()
    })

    it('passes a reset on to the server', async () => {
      let told: (error: string) => void = () => {}
      const outcome = new Promise<string>((resolve) => {
        told = resolve
      })
      const server = await serve((socket) => {
        socket.resume()
        socket.on('error', (error) => told((error as NodeJS.ErrnoException).code ?? ''))
        socket.on('end', () => told('end'))
      })
      const probe = new Probe(subject.tunnel, server.endpoint)
      await probe.event('open')
      probe.stream.reset()
      assert.equal(await outcome, traits.resets ? 'ECONNRESET' : 'end')
      assert.deepEqual(probe.events, ['open'])
      server.stop()
    })

    it('moves 1 to 64 MB unchanged, both ways at once, on several streams', async () => {
      const echo = await serve((socket) => socket.pipe(socket))
      const sizes = [1e6, 4e6, 64e6, 2_000_003]
      await Promise.all(
        sizes.map(async (size, index) => {
          const block = pattern(999_983, index)
          const expected = createHash('sha256')
          const probe = new Probe(subject.tunnel, echo.endpoint)
          await probe.event('open')
          for (let left = size; left > 0; ) {
            const part = block.subarray(0, Math.min(left, block.length))
            expected.update(part)
            await probe.send(part)
            left -= part.length
          }
          probe.stream.end()
          assert.equal(await probe.event('close'), 'close closed')
          assert.equal(probe.received, size)
          assert.equal(probe.hash.digest('hex'), expected.digest('hex'))
        }),
      )
      await until('the queue is empty', () => subject.tunnel.stats.queued === 0)
      echo.stop()
    })

    it('holds no more than windows and queue when our reader stops', async () => {
      const source = await serve((socket) => {
        const block = Buffer.alloc(65_536)
        const more = () => {
          while (socket.write(block));
        }
        socket.on('drain', more)
        more()
      })
      const probe = new Probe(subject.tunnel, source.endpoint)
      probe.consume = false
      await probe.event('open')
      // Nothing more comes when nothing came during three round trips.
      for (let before = -1; before !== probe.received || before <= 0; ) {
        before = probe.received
        for (let i = 0; i < 3; i++) await subject.tunnel.probe(10_000)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      assert.ok(probe.received <= 512 * 1024, `${probe.received} bytes came without credit`)
      probe.stream.reset()
      source.stop()
    })

    it('takes no more than windows and queue when the far reader stops', async () => {
      const sink = await serve((socket) => socket.pause())
      const probe = new Probe(subject.tunnel, sink.endpoint)
      await probe.event('open')
      const block = Buffer.alloc(65_536)
      let taken = 0
      for (let before = -1; before !== taken; ) {
        before = taken
        for (let got = 1; got > 0; taken += got) got = probe.stream.write(block, 0, block.length)
        for (let i = 0; i < 3; i++) await subject.tunnel.probe(10_000)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      // Beyond credit and queue there are the kernel's socket buffers at the far end, up to 6 MiB for each of two sockets.
      assert.ok(taken <= 16 * 2 ** 20, `${taken} bytes were taken`)
      assert.ok(subject.tunnel.stats.queued <= 1024 * 1024)
      const other = await serve((socket) => socket.pipe(socket))
      const lively = new Probe(subject.tunnel, other.endpoint)
      await lively.event('open')
      await lively.send(pattern(1_000_000, 3))
      await lively.until(() => lively.received === 1_000_000)
      lively.stream.reset()
      probe.stream.reset()
      other.stop()
      sink.stop()
    })

    it('holds 2,000 streams at once', async () => {
      const echo = await serve((socket) => socket.pipe(socket))
      const probes: Probe[] = []
      for (let i = 0; i < 2000; i++) probes.push(new Probe(subject.tunnel, echo.endpoint))
      await Promise.all(probes.map((probe) => probe.event('open')))
      assert.equal(subject.tunnel.stats.streams, 2000)
      await Promise.all(
        probes.map(async (probe, i) => {
          await probe.send(Buffer.from(`stream ${i}`))
          await probe.until(() => probe.received === `stream ${i}`.length)
          probe.stream.end()
          assert.equal(await probe.event('close'), 'close closed')
          assert.equal(probe.hash.digest('hex'), sha(Buffer.from(`stream ${i}`)))
        }),
      )
      assert.equal(subject.tunnel.stats.streams, 0)
      echo.stop()
    })

    it('leaves nothing behind after 5,000 streams', async () => {
      const echo = await serve((socket) => socket.pipe(socket))
      const opened = subject.tunnel.stats.streamsOpened
      let left = 5000
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          while (left-- > 0) {
            const probe = new Probe(subject.tunnel, echo.endpoint)
            await probe.event('open')
            probe.stream.end()
            await probe.event('close')
          }
        }),
      )
      assert.equal(subject.tunnel.stats.streamsOpened - opened, 5000)
      assert.equal(subject.tunnel.stats.streams, 0)
      await until('the queue is empty', () => subject.tunnel.stats.queued === 0)
      assert.equal(subject.farConnections(), 0)
      echo.stop()
    })

    it('carries datagrams of 0 to 65,507 bytes', {
      skip: traits.udp ? false : 'this shadow carries no UDP',
    }, async () => {
      const echo = await udpServer((socket, payload, port) => socket.send(payload, port))
      for (const size of [0, 1, 64, 1400, 8000, 65_507]) {
        const payload = pattern(size, size)
        const got = await new Promise<Buffer>((resolve, reject) => {
          const flow = subject.tunnel.openDatagrams(echo.endpoint, {
            onDatagram(answer) {
              resolve(Buffer.from(answer))
              flow.close()
            },
            onFail: reject,
          })
          flow.send(payload)
        })
        assert.ok(got.equals(payload), `${size} bytes came back changed`)
      }
      assert.equal(subject.tunnel.stats.datagramFlows, 0)
      echo.stop()
    })

    it('says that a datagram found nobody', { skip: traits.udp ? false : 'this shadow carries no UDP' }, async () => {
      const gone = await udpServer(() => {})
      gone.stop()
      const reason = await new Promise<string>((resolve) => {
        const flow = subject.tunnel.openDatagrams(gone.endpoint, { onDatagram() {}, onFail: resolve })
        flow.send(Buffer.from('anybody?'))
      })
      assert.equal(reason, 'refused')
    })

    it('refuses datagrams it cannot carry', { skip: traits.udp ? 'this shadow carries UDP' : false }, () => {
      assert.throws(() => subject.tunnel.openDatagrams(origin, { onDatagram() {}, onFail() {} }), /--shadow agent/)
    })

    it('tells every stream when the line is cut, and its server too', async () => {
      const echo = await serve((socket) => socket.pipe(socket))
      const probes = Array.from({ length: 10 }, () => new Probe(subject.tunnel, echo.endpoint))
      await Promise.all(probes.map((probe) => probe.event('open')))
      const closed = Promise.all(
        [...echo.sockets].map((socket) => new Promise((resolve) => socket.on('close', resolve))),
      )
      subject.cut()
      for (const probe of probes) assert.equal(await probe.event('close'), 'close lost')
      const { expected, message } = await subject.tunnel.closed
      assert.equal(expected, false)
      assert.notEqual(message, '')
      for (const socket of echo.sockets) socket.end()
      await closed
      const late = new Probe(subject.tunnel, echo.endpoint)
      assert.equal(await late.event('fail'), 'fail lost')
      await assert.rejects(subject.tunnel.probe(1000))
      echo.stop()
    })
  })
}
