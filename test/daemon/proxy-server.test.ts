// The proxy between real sockets: what a client of each protocol sees, whatever the server does.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { datagramHead, readDatagram } from '../../src/proxy/socks.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { CLUSTER, proxyBench } from '../support/proxy-bench.ts'

const echo = (socket: Socket) => void socket.pipe(socket)
const target = (name: string, port: number) => [3, name.length, name, port >> 8, port & 255]
/** Without its numbers: `\x05\0` is the greeting's answer, then the reply. */
const reply = (got: string) => got.charCodeAt(3)
/** All that a server was sent, with which it answers nothing. */
const page =
  (body: string, ...head: string[]) =>
  (socket: Socket) => {
    socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${head.map((line) => `${line}\r\n`).join('')}\r\n${body}`))
  }

describe('SOCKS', () => {
  test('a name of the cluster is reached through the tunnel, half-closed as on any connection', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(echo)
    const client = bench.client()
    client.send(5, 1, 0)
    await client.until((got) => got === '\x05\0')
    client.send(5, 1, 0, ...target('web.shop', port))
    await client.until((got) => got.length === 12)
    assert.equal(reply(client.got()), 0)
    client.send('hello')
    await client.until((got) => got.endsWith('hello'))
    client.socket.end(' and good-bye')
    assert.equal(await client.ended(), 'end')
    assert.equal(client.got().slice(12), 'hello and good-bye')
    assert.equal(bench.tunnel.stats.streamsOpened, 1)
    assert.deepEqual([bench.counters.bytesIn, bench.counters.bytesOut], [18, 18])
  })

  test('a client that says everything at once is understood', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(echo)
    const client = bench.client()
    client.send(5, 1, 0, 5, 1, 0, ...target('web.shop', port), 'early')
    await client.until((got) => got.slice(12) === 'early')
  })

  test('SOCKS4A reaches the same', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(echo)
    const client = bench.client()
    client.send(4, 1, port >> 8, port & 255, 0, 0, 0, 1, 0, 'web.shop', 0, 'four')
    await client.until((got) => got.slice(8) === 'four')
    assert.equal(client.got().charCodeAt(1), 90)
  })

  test('what is not the cluster is dialled from this machine', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(echo, '127.0.0.1')
    const client = bench.client()
    client.send(5, 1, 0, 5, 1, 0, ...target('machine', port), 'direct')
    await client.until((got) => got.slice(12) === 'direct')
    assert.equal(bench.tunnel.stats.streamsOpened, 0)
    client.socket.end()
    assert.equal(await client.ended(), 'end')
  })

  test('refused, unknown, outside and itself are told apart', async () => {
    await using bench = await proxyBench()
    const ask = async (name: string, port: number, one = bench) => {
      const client = one.client()
      client.send(5, 1, 0, 5, 1, 0, ...target(name, port))
      await client.until((got) => got.length === 12)
      assert.equal(await client.ended(), 'end')
      return reply(client.got())
    }
    assert.equal(await ask('web.shop', 1), 5, 'refused in the cluster')
    assert.equal(await ask('machine', 1), 5, 'refused here')
    assert.equal(await ask('nosuch', 80), 4, 'no such name')
    assert.equal(await ask('machine', bench.port), 2, 'itself')
    await using only = await proxyBench({ clusterOnly: true })
    assert.equal(await ask('machine', 80, only), 2, 'not in the cluster')
    assert.equal(bench.counters.failed, 4)
  })

  test('a server that resets resets the client, after what it said', async () => {
    await using bench = await proxyBench()
    for (const [name, host] of [
      ['web.shop', CLUSTER],
      ['machine', '127.0.0.1'],
    ]) {
      const port = await bench.serve(
        (socket) => socket.write('half', () => setImmediate(() => socket.resetAndDestroy())),
        host,
      )
      const client = bench.client()
      client.send(5, 1, 0, 5, 1, 0, ...target(name, port))
      assert.equal(await client.ended(), 'reset', name)
    }
  })

  test('a client that resets resets the server', async () => {
    await using bench = await proxyBench()
    for (const [name, host] of [
      ['web.shop', CLUSTER],
      ['machine', '127.0.0.1'],
    ]) {
      const { promise, resolve } = Promise.withResolvers<string>()
      const port = await bench.serve((socket) => {
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
        socket.on('end', () => resolve('end'))
        socket.resume()
      }, host)
      const client = bench.client()
      client.send(5, 1, 0, 5, 1, 0, ...target(name, port), 'x')
      await client.until((got) => got.length === 12)
      client.socket.resetAndDestroy()
      assert.equal(await promise, 'ECONNRESET', name)
    }
  })

  test('a reader that does not read holds back the sender', async () => {
    await using bench = await proxyBench()
    for (const [name, host] of [
      ['web.shop', CLUSTER],
      ['machine', '127.0.0.1'],
    ]) {
      let sent = 0
      const port = await bench.serve((socket) => {
        const chunk = Buffer.alloc(1 << 20)
        const more = () => {
          while (sent < 1 << 28 && socket.write(chunk)) sent += chunk.length
        }
        socket.on('drain', more)
        more()
      }, host)
      const client = bench.client()
      client.send(5, 1, 0)
      client.socket.pause()
      client.send(5, 1, 0, ...target(name, port))
      // Buffers fill within a few turns, or never.
      let before = -1
      for (let same = 0; same < 50; ) {
        await new Promise((resolve) => setTimeout(resolve, 4))
        same = sent === before && sent > 0 ? same + 1 : 0
        before = sent
      }
      assert.ok(sent < 64 << 20, `${name}: ${sent} bytes`)
      client.socket.destroy()
    }
  })

  test('UDP: each datagram goes where its head says, and the answer says from where it comes', async () => {
    await using bench = await proxyBench()
    const server = createSocket('udp4')
    server.on('message', (message, from) => server.send(`${message}!`, from.port, from.address))
    await new Promise<void>((resolve) => server.bind(0, CLUSTER, resolve))
    const here = createSocket('udp4')
    here.on('message', (message, from) => here.send(`${message}?`, from.port, from.address))
    await new Promise<void>((resolve) => here.bind(0, '127.0.0.1', resolve))
    const client = bench.client()
    client.send(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0)
    const got = await client.until((text) => text.length === 12)
    const bound = (got.charCodeAt(10) << 8) | got.charCodeAt(11)
    const socket = createSocket('udp4')
    const ask = async (head: Uint8Array, text: string) => {
      socket.send(Buffer.concat([head, Buffer.from(text)]), bound, '127.0.0.1')
      const [message] = await once(socket, 'message')
      const read = readDatagram(message)!
      return [read.host, read.port, Buffer.from(read.payload).toString()]
    }
    const { port } = server.address()
    const name = Buffer.from([0, 0, 0, 3, 8, ...Buffer.from('web.shop'), port >> 8, port & 255])
    assert.deepEqual(await ask(name, 'ping'), [CLUSTER, port, 'ping!'])
    assert.deepEqual(await ask(datagramHead(IpAddress.parse('127.0.0.1'), here.address().port), 'here'), [
      ...['127.0.0.1', here.address().port, 'here?'],
    ])
    const stranger = createSocket('udp4')
    let heard = 0
    server.on('message', () => heard++)
    stranger.send(Buffer.concat([name, Buffer.from('not mine')]), bound, '127.0.0.1')
    assert.deepEqual(await ask(name, 'again'), [CLUSTER, port, 'again!'])
    assert.equal(heard, 1, 'nobody else gets in')
    client.socket.destroy()
    for (const one of [server, here, socket, stranger]) one.close()
  })

  test('a client that does not say what it wants is dropped, one that has said it is not', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(echo)
    const silent = bench.client()
    const slow = bench.client()
    slow.send(5)
    const busy = bench.client()
    busy.send(5, 1, 0, 5, 1, 0, ...target('web.shop', port))
    await busy.until((got) => got.length === 12)
    await bench.time.run(21_000)
    await Promise.all([silent.ended(), slow.ended()])
    busy.send('still here')
    await busy.until((got) => got.endsWith('still here'))
  })

  test('who may not come is reset before a word is said', async () => {
    await using bench = await proxyBench({ isAllowed: async () => false })
    const client = bench.client()
    client.send(5, 1, 0)
    assert.equal(await client.ended(), 'reset')
    assert.equal(client.got(), '')
  })
})

describe('HTTP', () => {
  test('CONNECT leads to anything over TCP', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(echo)
    const client = bench.client()
    client.send(`CONNECT web.shop:${port} HTTP/1.1\r\nHost: web.shop\r\n\r\nearly`)
    await client.until((got) => got.endsWith('\r\n\r\nearly'))
    assert.match(client.got(), /^HTTP\/1.1 200 /)
    client.socket.end('late')
    assert.equal(await client.ended(), 'end')
    assert.match(client.got(), /earlylate$/)
  })

  test('CONNECT that fails has a status and one line of text', async () => {
    await using bench = await proxyBench()
    const client = bench.client()
    client.send('CONNECT web.shop:1 HTTP/1.1\r\n\r\n')
    assert.equal(await client.ended(), 'end')
    assert.match(client.got(), /^HTTP\/1.1 502 [\s\S]*\r\n\r\nkt proxy: web.shop:1 refuses the connection\n$/)
    const wrong = bench.client()
    wrong.send('CONNECT web.shop HTTP/1.1\r\n\r\n')
    await wrong.ended()
    assert.match(wrong.got(), /^HTTP\/1.1 400 /)
  })

  test('a plain request is sent on in the form that servers know, and the connection is kept', async () => {
    await using bench = await proxyBench()
    const seen: string[] = []
    let connections = 0
    const port = await bench.serve((socket) => {
      connections++
      socket.on('data', (chunk: Buffer) => {
        seen.push(chunk.toString())
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\nX-Own: 1\r\nX-Own: 2\r\n\r\nok')
      })
    })
    const client = bench.client()
    const request = `GET http://web.shop:${port}/a?b HTTP/1.1\r\nHost: other\r\nProxy-Connection: keep-alive\r\nX-A: 1\r\n\r\n`
    client.send(request)
    await client.until((got) => got.endsWith('ok'))
    client.send(request)
    await client.until((got) => got.split('ok').length === 3)
    assert.equal(seen[0], `GET /a?b HTTP/1.1\r\nHost: web.shop:${port}\r\nX-A: 1\r\nConnection: keep-alive\r\n\r\n`)
    assert.equal(connections, 1, 'to the server, too')
    assert.match(client.got(), /X-Own: 1\r\nX-Own: 2\r\n/)
  })

  test('bodies of both framings pass, and 100 Continue, and trailers', async () => {
    await using bench = await proxyBench()
    let seen = ''
    const port = await bench.serve((socket) => {
      socket.on('data', (chunk: Buffer) => {
        seen += chunk
        if (seen.includes('Expect') && !seen.includes('body')) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        if (seen.endsWith('0\r\n\r\n'))
          socket.write(
            'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n',
          )
      })
    })
    const client = bench.client()
    client.send(
      `POST http://web.shop:${port}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n`,
    )
    await client.until((got) => got === 'HTTP/1.1 100 Continue\r\n\r\n')
    client.send('4\r\nbody\r\n0\r\n\r\n')
    await client.until((got) => got.endsWith('0\r\nX-Sum: 7\r\n\r\n'))
    assert.match(seen, /4\r\nbody\r\n0\r\n\r\n$/)
    assert.match(client.got(), /\r\n3\r\nabc\r\n/)
  })

  test('early hints pass', async () => {
    await using bench = await proxyBench()
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    const port = await bench.serve((socket) => {
      socket.once('data', () => socket.end(`${hints}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`))
    })
    const client = bench.client()
    client.send(`GET http://web.shop:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    await client.until((got) => got.includes(' 200 '))
    assert.ok(client.got().startsWith(hints), client.got())
  })

  test('a request that two servers could read differently reaches nobody', async () => {
    await using bench = await proxyBench()
    const seen: string[] = []
    const port = await bench.serve((socket) => {
      socket.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
    })
    const head = `POST http://web.shop:${port}/ HTTP/1.1\r\nHost: x\r\n`
    for (const rest of [
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n',
      'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\nhello',
      'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
      'Content-Length: +5\r\n\r\nhello',
      'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
      'X: 1\n Content-Length: 5\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n',
    ]) {
      const client = bench.client()
      client.send(head + rest)
      await client.ended()
      assert.match(client.got(), /^(HTTP\/1.1 400 |$)/, rest)
    }
    assert.deepEqual(
      seen.filter((text) => /smuggled|hello/.test(text)),
      [],
    )
  })

  test('an answer that is cut does not look whole, whatever its framing is', async () => {
    await using bench = await proxyBench()
    for (const framing of ['Content-Length: 100', 'Transfer-Encoding: chunked', 'X-Until: close']) {
      const body = framing.startsWith('T') ? '4\r\nhalf\r\n' : 'half'
      const port = await bench.serve((socket) => {
        socket.once('data', () =>
          socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${body}`, () =>
            setTimeout(() => socket.resetAndDestroy(), 20),
          ),
        )
      })
      const client = bench.client()
      client.send(`GET http://web.shop:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
      assert.equal(await client.ended(), 'reset', framing)
    }
  })

  test('an answer that ends with the connection is whole', async () => {
    await using bench = await proxyBench()
    const port = await bench.serve(page('all of it', 'X-Until: close'))
    const client = bench.client()
    client.send(`GET http://web.shop:${port}/ HTTP/1.0\r\n\r\n`)
    assert.equal(await client.ended(), 'end')
    assert.match(client.got(), /\r\n\r\nall of it$/)
  })

  test('what cannot be reached is told with a status and one line', async () => {
    await using bench = await proxyBench({ clusterOnly: true })
    const ask = async (url: string) => {
      const client = bench.client()
      client.send(`GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      await client.ended()
      return `${client.got().slice(9, 12)} ${client.got().split('\r\n\r\n')[1]}`
    }
    assert.equal(await ask('http://web.shop:1/'), '502 kt proxy: web.shop:1 refuses the connection\n')
    assert.equal(await ask('http://nosuch/'), '502 kt proxy: there is no nosuch\n')
    assert.match(await ask('http://machine/'), /^403 kt proxy: machine:80 is not in the cluster/)
    assert.match(await ask('https://web.shop/'), /^400 /)
  })

  test('the PAC file is for whoever names the proxy, and for no page', async () => {
    await using bench = await proxyBench()
    const ask = async (...head: string[]) => {
      const client = bench.client()
      client.send(`GET /proxy.pac HTTP/1.1\r\n${head.map((line) => `${line}\r\n`).join('')}Connection: close\r\n\r\n`)
      await client.ended()
      return client.got()
    }
    const own = await ask(`Host: 127.0.0.1:${bench.port}`)
    assert.match(own, /^HTTP\/1.1 200 [\s\S]*x-ns-proxy-autoconfig[\s\S]*nosniff[\s\S]*FindProxyForURL/)
    assert.match(await ask(`Host: evil.example:${bench.port}`), /^HTTP\/1.1 403 /)
    assert.match(await ask(`Host: 127.0.0.1:${bench.port}`, 'Sec-Fetch-Site: cross-site'), /^HTTP\/1.1 403 /)
    assert.match(await ask(`Host: 127.0.0.1:${bench.port}`, 'Origin: null'), /^HTTP\/1.1 403 /)
  })

  test('a head that does not end is not read for ever', async () => {
    await using bench = await proxyBench()
    const client = bench.client()
    client.send('GET http://web.shop/ HTTP/1.1\r\n')
    for (let i = 0; i < 20; i++) client.send(`X-${i}: ${'x'.repeat(8192)}\r\n`)
    await client.ended()
    assert.match(client.got(), /^(HTTP\/1.1 431 |$)/)
  })

  test('a server that closed a connection while it rested is asked again', async () => {
    await using bench = await proxyBench()
    let asked = 0
    const port = await bench.serve((socket) => {
      let own = 0
      socket.on('data', () => {
        asked++
        if (++own === 2) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    const client = bench.client()
    const request = `GET http://web.shop:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`
    client.send(request)
    await client.until((got) => got.endsWith('ok'))
    client.send(request)
    await client.until((got) => got.split('ok').length === 3)
    assert.equal(asked, 3)
  })
})
