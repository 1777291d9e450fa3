// What every tunnel that serves ports must do, seen from a caller's socket and from the handler of what comes in: one suite, run by
// listen.test.ts over each of them.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { IncomingStream, ListenHandler, Tunnel, TunnelListener } from '../../src/tunnel/tunnel.ts'
import { until } from '../support/until.ts'
import { Probe, pattern, sha } from './compliance.ts'

export interface Listening {
  tunnel: Tunnel
  /** Where callers find the ports that may be claimed. */
  ports: { tcp: number; udp: number }
  /** Cuts the line under the tunnel. */
  cut(): void
  /** Connections the far side holds; 0 where it cannot tell. */
  farConnections(): number
  stop(): Promise<void>
}

/** A handler that does nothing but what is given. */
export function handler(parts: Partial<ListenHandler>): ListenHandler {
  return {
    onStream: (incoming) => incoming.refuse('refused', 'not in this test'),
    onDatagrams: (incoming) => incoming.refuse(),
    ...parts,
  }
}

/** The caller's end of a connection, with all that it received. */
export class Caller {
  readonly socket: Socket
  readonly hash = createHash('sha256')
  received = 0
  text = ''
  error: string | undefined
  readonly ended: Promise<void>
  #wake: () => void = () => {}
  readonly closed: Promise<void>

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect({ port, host, allowHalfOpen: true, noDelay: true })
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code
    })
    this.ended = new Promise((resolve) => this.socket.on('end', resolve))
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()))
    this.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length
      this.hash.update(chunk)
      if (this.text.length < 1000) this.text += chunk.toString('latin1')
    })
    for (const event of ['data', 'end', 'close']) this.socket.on(event, () => this.#wake())
  }

  /** Resolves when this many bytes have come, or none can come any more. */
  async until(bytes: number): Promise<void> {
    while (this.received < bytes && !this.socket.destroyed && !this.socket.readableEnded)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }

  async send(bytes: Uint8Array): Promise<void> {
    if (!this.socket.write(bytes)) await new Promise((resolve) => this.socket.once('drain', resolve))
  }
}

/** Takes what comes and sends back what it sends, with back pressure. */
export function echo(incoming: IncomingStream): Probe {
  const waiting: Uint8Array[] = []
  const probe: Probe = new (class extends Probe {
    override onData(chunk: Uint8Array): void {
      waiting.push(chunk)
      this.#flush()
    }
    override onDrain(): void {
      super.onDrain()
      this.#flush()
    }
    override onEnd(): void {
      super.onEnd()
      this.#flush()
    }
    #flush(): void {
      for (let chunk = waiting[0]; chunk; chunk = waiting[0]) {
        const taken = this.stream.write(chunk, 0, chunk.length)
        this.stream.consumed(taken)
        if (taken < chunk.length) {
          waiting[0] = chunk.subarray(taken)
          return
        }
        waiting.shift()
      }
      if (this.events.includes('end')) this.stream.end()
    }
  })(incoming)
  return probe
}

export function listenCompliance(name: string, start: () => Promise<Listening>): void {
  describe(`ports of ${name}`, { timeout: 120_000 }, () => {
    let subject: Listening
    before(async () => {
      subject = await start()
    })
    after(async () => {
      await subject?.tunnel.close()
      await subject?.stop()
    })

    /** Listens while `action` runs; `next` gives the streams one by one as they come. */
    async function listening(
      action: (next: () => Promise<IncomingStream>, listener: TunnelListener) => Promise<void>,
    ): Promise<void> {
      const come: IncomingStream[] = []
      let wake: () => void = () => {}
      const listener = await subject.tunnel.listen(
        subject.ports.tcp,
        'TCP',
        handler({
          onStream(incoming) {
            come.push(incoming)
            wake()
          },
        }),
      )
      try {
        await action(async () => {
          while (come.length === 0)
            await new Promise<void>((resolve) => {
              wake = resolve
            })
          return come.shift()!
        }, listener)
      } finally {
        await listener.close()
      }
    }

    it('brings a connection here, and says who it is from', () =>
      listening(async (next, { port }) => {
        assert.equal(port, subject.ports.tcp)
        const caller = new Caller(port)
        const incoming = await next()
        assert.equal(incoming.port, port)
        assert.equal(incoming.origin.address.toString(), '127.0.0.1')
        assert.equal(incoming.origin.port, caller.socket.localPort)
        const probe = new Probe(incoming)
        caller.socket.write('hello')
        await probe.until(() => probe.received === 5)
        await probe.send(Buffer.from('good day'))
        await caller.until(8)
        assert.equal(caller.text, 'good day')
        caller.socket.end()
        await probe.event('end')
        probe.stream.end()
        assert.equal(await probe.event('close'), 'close closed')
        assert.deepEqual(probe.events, ['end', 'close closed'])
        await caller.closed
        assert.equal(caller.error, undefined)
      }))

    it('brings what a server says first', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const probe = new Probe(await next())
        await probe.send(Buffer.from('220 ready'))
        await caller.until(9)
        assert.equal(caller.text, '220 ready')
        probe.stream.reset()
        await caller.closed
      }))

    it('serves 500 connections at once', () =>
      listening(async (next, { port }) => {
        const callers = Array.from({ length: 500 }, () => new Caller(port))
        const echoing = (async () => {
          for (let i = 0; i < callers.length; i++) echo(await next())
        })()
        await Promise.all(
          callers.map(async (caller, i) => {
            const text = `connection ${i}`
            await caller.send(Buffer.from(text))
            await caller.until(text.length)
            caller.socket.end()
            await caller.closed
            assert.equal(caller.text, text)
            assert.equal(caller.error, undefined)
          }),
        )
        await echoing
        await until('all are forgotten', () => subject.tunnel.stats.streams === 0 && subject.farConnections() === 0)
      }))

    it('moves 50 MB unchanged, both ways at once', () =>
      listening(async (next, { port }) => {
        const sizes = [50e6, 1_000_003]
        const echoing = (async () => {
          for (const _ of sizes) echo(await next())
        })()
        await Promise.all(
          sizes.map(async (size, index) => {
            const caller = new Caller(port)
            const block = pattern(999_983, index)
            const expected = createHash('sha256')
            for (let left = size; left > 0; ) {
              const part = block.subarray(0, Math.min(left, block.length))
              expected.update(part)
              await caller.send(part)
              left -= part.length
            }
            caller.socket.end()
            await caller.closed
            assert.equal(caller.received, size)
            assert.equal(caller.hash.digest('hex'), expected.digest('hex'))
          }),
        )
        await echoing
        assert.equal(subject.tunnel.stats.queued, 0)
      }))

    it('lets us send after the caller’s FIN', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const probe = new Probe(await next())
        caller.socket.end('request')
        await probe.event('end')
        assert.equal(probe.received, 7)
        await probe.send(pattern(300_000, 1))
        probe.stream.end()
        assert.equal(await probe.event('close'), 'close closed')
        await caller.closed
        assert.equal(caller.hash.digest('hex'), sha(pattern(300_000, 1)))
      }))

    it('lets the caller send after our FIN', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const probe = new Probe(await next())
        probe.stream.end()
        await caller.ended
        await caller.send(pattern(300_000, 2))
        caller.socket.end()
        assert.equal(await probe.event('close'), 'close closed')
        assert.equal(probe.hash.digest('hex'), sha(pattern(300_000, 2)))
      }))

    it('tells the caller’s reset from an end', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const probe = new Probe(await next())
        caller.socket.write('begun')
        await probe.until(() => probe.received === 5)
        caller.socket.resetAndDestroy()
        assert.equal(await probe.event('close'), 'close reset')
        assert.deepEqual(probe.events, ['close reset'])
      }))

    it('passes our reset on to the caller', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const probe = new Probe(await next())
        await probe.send(Buffer.from('begun'))
        await caller.until(5)
        probe.stream.reset()
        await caller.closed
        assert.equal(caller.error, 'ECONNRESET')
      }))

    it('resets a caller when nobody serves here', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const incoming = await next()
        incoming.refuse('refused', 'localhost:8080: connection refused')
        await caller.closed
        assert.equal(caller.error, 'ECONNRESET')
        assert.equal(caller.received, 0)
        assert.throws(() => new Probe(incoming), /answered before/)
      }))

    it('holds no more than windows and queue when our reader stops', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        const probe = new Probe(await next())
        probe.consume = false
        const block = Buffer.alloc(65_536)
        const more = () => {
          while (caller.socket.write(block));
        }
        caller.socket.on('drain', more)
        more()
        for (let before = -1; before !== probe.received || before <= 0; ) {
          before = probe.received
          for (let i = 0; i < 3; i++) await subject.tunnel.probe(10_000)
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
        assert.ok(probe.received <= 512 * 1024, `${probe.received} bytes came without credit`)
        caller.socket.destroy()
        probe.stream.reset()
      }))

    it('takes no more than windows and queue when the caller reads nothing', () =>
      listening(async (next, { port }) => {
        const caller = new Caller(port)
        caller.socket.pause()
        const probe = new Probe(await next())
        const block = Buffer.alloc(65_536)
        let taken = 0
        for (let before = -1; before !== taken; ) {
          before = taken
          for (let got = 1; got > 0; taken += got) got = probe.stream.write(block, 0, block.length)
          for (let i = 0; i < 3; i++) await subject.tunnel.probe(10_000)
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
        // Beyond credit and queue there are the kernel's socket buffers, up to 6 MiB for each of two sockets.
        assert.ok(taken <= 16 * 2 ** 20, `${taken} bytes were taken`)
        const other = new Caller(port)
        echo(await next())
        await other.send(pattern(1_000_000, 3))
        await other.until(1_000_000)
        other.socket.destroy()
        probe.stream.reset()
        caller.socket.destroy()
      }))

    it('carries datagrams of 0 to 65,507 bytes, and keeps those that came before they were taken', async () => {
      const origins = new Set<number>()
      const listener = await subject.tunnel.listen(
        subject.ports.udp,
        'UDP',
        handler({
          onDatagrams(incoming) {
            origins.add(incoming.origin.port)
            setTimeout(() => {
              const flow = incoming.accept({ onDatagram: (payload) => flow.send(payload), onFail() {} })
            }, 50)
          },
        }),
      )
      const caller = createSocket('udp4')
      const sizes = [3, 5, 0, 1, 64, 1400, 8000, 65_507]
      const sent = sizes.map((size) => pattern(size, size))
      const got: Buffer[] = []
      const all = new Promise<void>((resolve) =>
        caller.on('message', (payload) => {
          got.push(payload)
          if (got.length < 2) return
          if (got.length === sizes.length) resolve()
          else caller.send(sent[got.length], listener.port, '127.0.0.1')
        }),
      )
      await new Promise<void>((resolve) => caller.bind(0, '127.0.0.1', resolve))
      for (const payload of sent.slice(0, 2)) caller.send(payload, listener.port, '127.0.0.1')
      await all
      assert.deepEqual(
        got.map((payload) => payload.length),
        sizes,
      )
      assert.equal(sha(...got), sha(...sent))
      assert.deepEqual([...origins], [caller.address().port])
      caller.close()
      await listener.close()
    })

    it('resets callers when the line is cut', async () => {
      const probes: Probe[] = []
      const port = subject.ports.tcp
      await subject.tunnel.listen(port, 'TCP', handler({ onStream: (incoming) => probes.push(new Probe(incoming)) }))
      const callers = Array.from({ length: 5 }, () => new Caller(port))
      for (const caller of callers) caller.socket.write('x')
      while (probes.length < callers.length || probes.some(({ received }) => received === 0))
        await new Promise((resolve) => setTimeout(resolve, 10))
      subject.cut()
      for (const probe of probes) assert.equal(await probe.event('close'), 'close lost')
      await Promise.all(callers.map(({ closed }) => closed))
      for (const { error } of callers) assert.equal(error, 'ECONNRESET')
    })
  })
}
