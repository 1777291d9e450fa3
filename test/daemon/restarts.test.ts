// A local program that restarts while requests come: what its end has caught is told to its successor, if that does no harm.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { after, afterEach, describe, test } from 'node:test'
import { Beginning } from '../../src/daemon/inbound/beginning.ts'
import { LocalTarget, type LocalTargetOptions } from '../../src/daemon/inbound/local.ts'
import { Complaints } from '../../src/daemon/inbound/once.ts'
import { MACHINE } from '../../src/daemon/inbound/program-network.ts'
import { Splice } from '../../src/daemon/inbound/splice.ts'
import type { TunnelStream } from '../../src/tunnel/tunnel.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { createLoopbackTunnel } from '../support/loopback-tunnel.ts'

const GET = 'GET /a HTTP/1.1\r\nhost: x\r\n\r\n'
const POST = 'POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx'
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

describe('what may be said again', () => {
  const may = (said: string, how: 'reset' | 'ended', callerEnded = false) => {
    const beginning = new Beginning()
    beginning.add(Buffer.from(said))
    return beginning.mayRepeat(how, callerEnded)
  }
  for (const [said, reset, ended] of [
    [GET, true, true],
    [POST, true, false],
    ['DELETE /a HTTP/1.1\r\n', true, true],
    ['GETX /a HTTP/1.1\r\n', true, false],
    ['SET key value\r\n', true, false],
    ['', true, true],
    ['x'.repeat(20_000), false, false],
  ] as const)
    test(JSON.stringify(said.slice(0, 20)), () => {
      assert.deepEqual([may(said, 'reset'), may(said, 'ended')], [reset, ended])
    })
  test('who only looks whether somebody answers is told the truth', () => {
    assert.equal(may('', 'ended', true), false)
  })
})

describe('a program that restarts', { timeout: 20_000 }, () => {
  const tunnel = createLoopbackTunnel()
  const open = new Set<{ close(): void }>()
  afterEach(() => {
    for (const one of open) one.close()
    open.clear()
  })
  after(() => tunnel.close())

  async function listening(port: number, onSocket: (socket: net.Socket) => void): Promise<net.Server> {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      open.add({ close: () => socket.destroy() })
      onSocket(socket)
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    open.add(server)
    return server
  }
  function targetOf(local: number, more: Partial<LocalTargetOptions> = {}): LocalTarget {
    const target = new LocalTarget({
      network: MACHINE,
      local,
      remote: 80,
      fallback: false,
      addresses: () => [],
      counters: { total: 0, refused: 0, bytesIn: 0, bytesOut: 0 },
      complaints: new Complaints(() => {}),
      ...more,
    })
    open.add(target)
    return target
  }
  const expose = async (local: number, more?: Partial<LocalTargetOptions>) =>
    (await tunnel.listen(0, 'TCP', targetOf(local, more))).port
  /** What a caller that says `said` gets: an answer, '' for an end, or `reset`. */
  async function call(port: number, said: string): Promise<string> {
    const socket = net.connect({ port, host: '127.0.0.1' })
    socket.write(said)
    let got = ''
    try {
      for await (const chunk of socket.setEncoding('utf8')) {
        got += chunk
        if (got === ANSWER) socket.end()
      }
      return got
    } catch {
      return 'reset'
    } finally {
      socket.destroy()
    }
  }
  const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port
  /** Answers what it is told, and remembers it. */
  const answering = (heard: string[]) => (socket: net.Socket) => {
    socket.setEncoding('utf8').once('data', (text: string) => {
      heard.push(text)
      socket.end(ANSWER)
    })
  }

  for (const [name, said] of [
    ['a GET', GET],
    ['a POST', POST],
  ] as const)
    test(`${name} that the program has not read when it ends is answered by its successor, once`, async () => {
      const heard: string[] = []
      const first = await listening(0, (socket) => {
        first.close()
        socket.once('readable', () => socket.resetAndDestroy())
        first.once('close', () => setTimeout(() => void listening(portOfFirst, answering(heard)), 100))
      })
      const portOfFirst = portOf(first)
      assert.equal(await call(await expose(portOfFirst), said), ANSWER)
      assert.deepEqual(heard, [said])
    })

  test('a program that has read a POST, and ends, may have acted upon it: the caller learns of the end', async () => {
    const heard: string[] = []
    const first = await listening(0, (socket) => {
      socket.once('data', () => {
        first.close()
        socket.destroy()
        first.once('close', () => setTimeout(() => void listening(portOfFirst, answering(heard)), 100))
      })
    })
    const portOfFirst = portOf(first)
    assert.equal(await call(await expose(portOfFirst), POST), '')
    assert.deepEqual(heard, [])
  })

  test('a program that lives and ends connections is told a GET again, and a POST never', async () => {
    for (const [said, times] of [
      [GET, 4],
      [POST, 1],
    ] as const) {
      let count = 0
      const server = await listening(0, (socket) => {
        socket.once('data', () => {
          count++
          socket.resetAndDestroy()
        })
      })
      assert.equal(await call(await expose(portOf(server)), said), 'reset')
      assert.equal(count, times, said.slice(0, 4))
    }
  })

  test('a caller whose program does not come back is told so when the patience is over', async () => {
    const first = await listening(0, (socket) => {
      first.close()
      socket.pause().resetAndDestroy()
    })
    assert.equal(await call(await expose(portOf(first), { patienceMs: 200 }), GET), 'reset')
  })

  async function freePort(): Promise<number> {
    const server = await listening(0, () => {})
    const port = portOf(server)
    server.close()
    await once(server, 'close')
    return port
  }
  /** A program of which each run ends with the request that it has read, but for those after `mortal` runs. Tells how often it has run. */
  async function mortals(port: number, mortal = Number.POSITIVE_INFINITY): Promise<() => number> {
    let runs = 0
    const begin = async () => {
      const server = await listening(port, (socket) => {
        if (++runs > mortal) return answering([])(socket)
        socket.once('data', () => {
          server.close()
          socket.destroy()
          server.once('close', () => setTimeout(() => void begin(), 10))
        })
      })
    }
    await begin()
    return () => runs
  }

  test('a request outlives many restarts, since each of them is another program', async () => {
    const port = await freePort()
    const runs = await mortals(port, 8)
    assert.equal(await call(await expose(port), GET), ANSWER)
    assert.equal(runs(), 9)
  })

  test('a program that another caller has missed is another one when it is back', async () => {
    const port = await freePort()
    const target = targetOf(port)
    const other = () =>
      target.onStream({
        port: 80,
        origin: { address: IpAddress.parse('10.244.0.9'), port: 4711 },
        accept: () => ({ write: () => 0, end: () => {}, reset: () => {}, consumed: () => {} }),
        refuse: () => {},
        decline: () => {},
      })
    let runs = 0
    const begin = async () => {
      const server = await listening(port, (socket) =>
        socket.once('data', () => {
          if (++runs > 5) return void socket.end(ANSWER)
          server.close()
          // The connection ends when the next program listens already.
          setTimeout(other, 10)
          setTimeout(() => void begin(), 30)
          setTimeout(() => socket.destroy(), 200)
        }),
      )
    }
    await begin()
    const { port: shadow } = await tunnel.listen(0, 'TCP', target)
    assert.equal(await call(shadow, GET), ANSWER)
    assert.equal(runs, 6)
  })

  test('what ends each program that it is told to is not told for ever', async () => {
    const port = await freePort()
    const runs = await mortals(port)
    assert.equal(await call(await expose(port), GET), '')
    assert.equal(runs(), 12)
  })

  test('one caller looks for a program that is away, however many wait', async () => {
    const port = await freePort()
    let dials = 0
    const network = { ...MACHINE, hosts: ['127.0.0.1'], socket: () => Promise.reject(refusal()) }
    const refusal = () => {
      dials++
      return Object.assign(new Error('nobody'), { code: 'ECONNREFUSED' })
    }
    const target = targetOf(port, { network, patienceMs: 300 })
    const refused = Array.from({ length: 40 }, () => Promise.withResolvers<void>())
    for (const { resolve } of refused)
      target.onStream({
        port: 80,
        origin: { address: IpAddress.parse('10.244.0.9'), port: 4711 },
        accept: () => assert.fail('nobody is there'),
        refuse: () => resolve(),
        decline: () => resolve(),
      })
    await Promise.all(refused.map(({ promise }) => promise))
    // Each looks for itself when it comes and when it gives up; in between one does, every 50 ms.
    assert.ok(dials <= 90, `${dials} dials`)
  })

  test('a program that ends between the handshake and our look at it is waited for', async () => {
    const first = await listening(0, () => assert.fail('nobody takes a connection'))
    const port = portOf(first)
    const target = targetOf(port)
    const taken = Promise.withResolvers<boolean>()
    const incoming = {
      port: 80,
      origin: { address: IpAddress.parse('10.244.0.9'), port: 4711 },
      accept: () => {
        taken.resolve(true)
        return { write: () => 0, end: () => {}, reset: () => {}, consumed: () => {} }
      },
      refuse: () => taken.resolve(false),
      decline: () => taken.resolve(false),
    }
    target.onStream(incoming)
    // The kernel has shaken hands when connect(2) returns; what has happened is looked at in a later turn of the event loop.
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => process.nextTick(resolve))
    first.close()
    await once(first, 'close')
    await listening(port, () => {})
    assert.equal(await taken.promise, true)
  })

  test('what comes while the connection is going is kept', async () => {
    const pair = async () => {
      let far: net.Socket | undefined
      const server = await listening(0, (socket) => {
        far = socket
      })
      const near = net.connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true })
      await Promise.all([once(near, 'connect'), once(server, 'connection')])
      near.on('error', () => {})
      open.add({ close: () => near.destroy() })
      return { near, far: far! }
    }
    const [one, two] = [await pair(), await pair()]
    const credit: number[] = []
    const stream = { consumed: (bytes: number) => credit.push(bytes), reset: () => {}, end: () => {} }
    const splice = new Splice(one.near, { bytesIn: 0, bytesOut: 0 }, { again: async () => two.near })
    splice.attach(stream as unknown as TunnelStream, true)
    splice.onData(Buffer.from('GET /a HT'))
    // From here on the socket is destroyed, and `close` has not come.
    one.near.destroy(new Error('reset'))
    splice.onData(Buffer.from('TP/1.1\r\n'))
    await new Promise((resolve) => one.near.once('close', resolve))
    splice.onData(Buffer.from('\r\n'))
    let got = ''
    for await (const chunk of two.far.setEncoding('utf8')) {
      got += chunk
      if (got.endsWith('\r\n\r\n')) break
    }
    assert.equal(got, 'GET /a HTTP/1.1\r\n\r\n')
    assert.deepEqual(credit.sort(), [2, 8, 9])
  })
})
