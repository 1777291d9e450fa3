import assert from 'node:assert/strict'
import { bodyEnd } from '../../../src/wire/http/framing.ts'
import { parseRequestHead } from '../../../src/wire/http/head.ts'
import { proxyBench } from '../../support/proxy-bench.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'

const TARGETS = [
  'http://web.shop:PORT/u',
  'http://web.shop:PORT/u?q',
  '/u',
  '/proxy.pac',
  '*',
  'http://web.shop:PORT',
  'http://nosuch/',
]
const HEADERS = [
  'Host: a',
  'Content-Length: 0',
  'Content-Length: 39',
  'Content-Length: +39',
  'Content-Length: 39, 39',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\x0bchunked',
  'Connection: close, Content-Length',
  'Connection: Transfer-Encoding',
  'Connection: keep-alive',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'X: a\nContent-Length: 0',
  ' folded',
]
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n'
const BODIES = [
  '',
  SMUGGLED,
  `0\r\n\r\n${SMUGGLED}`,
  `28\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  `5\r\nhello\r\n0\r\nT: u\r\n\r\n${SMUGGLED}`,
  `5\nhello\n0\n\n${SMUGGLED}`,
]

function request(random: Random): string {
  const line = `${random.pick(['GET', 'POST', 'HEAD', 'PUT', 'CONNECT'])} ${random.pick(TARGETS)} HTTP/1.${random.chance(90) ? 1 : 0}`
  const headers = Array.from({ length: random.int(4) }, () => random.pick(HEADERS))
  return `${[line, ...headers].join(random.chance(97) ? '\r\n' : '\n')}\r\n\r\n${random.pick(BODIES)}`
}

/** What a server that reads by the book finds in what the proxy has sent it. Throws where it finds anything doubtful. */
function asServer(sent: string): void {
  for (let text = sent; text !== ''; ) {
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return // it was given up
    const head = parseRequestHead(text.slice(0, end + 4))
    const url = head.startLine.split(' ')[1]
    assert.match(url, /^\/(u|$)/, 'a request that no client has made')
    assert.match(head.header('host') ?? '', /^web\.shop:\d+$/)
    const body = bodyEnd(head.framing)
    const rest = Buffer.from(text.slice(end + 4), 'latin1')
    text = rest.subarray(body.done ? 0 : body.take(rest)).toString('latin1')
  }
}

export default {
  about: 'HTTP to the proxy: a server behind it never reads a request that the proxy has not read',
  make: (random) => Buffer.from(Array.from({ length: 1 + random.int(3) }, () => request(random)).join(''), 'latin1'),
  async start() {
    process.removeAllListeners('warning')
    const bench = await proxyBench()
    const sent: string[] = []
    const port = await bench.serve((socket) => {
      const own = sent.push('') - 1
      socket.setEncoding('latin1')
      socket.on('data', (chunk: string) => {
        sent[own] += chunk
        setImmediate(() => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'))
      })
      socket.on('end', () => socket.end())
    })
    return {
      async attempt(input, random) {
        sent.length = 0
        const text = input.toString('latin1').replaceAll('PORT', String(port))
        const client = bench.client()
        for (const piece of random.cut(Buffer.from(text, 'latin1'))) client.send(piece)
        client.socket.end()
        await client.ended()
        client.socket.destroy()
        // A tunnel is the client's own: what it says in it is no request of the proxy's.
        if (!/ 200 Connection established/.test(client.got())) for (const one of sent) asServer(one)
      },
      stop: async () => await bench[Symbol.asyncDispose](),
    }
  },
} satisfies Area
