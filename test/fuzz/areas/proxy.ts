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
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n'
const HEADERS = [
  'Host: a',
  'Content-Length: 0',
  `Content-Length: ${SMUGGLED.length}`,
  `Content-Length: +${SMUGGLED.length}`,
  `Content-Length: ${SMUGGLED.length}, ${SMUGGLED.length}`,
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
const BODIES = [
  '',
  SMUGGLED,
  `0\r\n\r\n${SMUGGLED}`,
  `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  `5\r\nhello\r\n0\r\nT: u\r\n\r\n${SMUGGLED}`,
  `5\nhello\n0\n\n${SMUGGLED}`,
]
/** So many attempts later nothing of one is under way any more. */
const SERVERS = 256

function request(random: Random): string {
  const line = `${random.pick(['GET', 'POST', 'HEAD', 'PUT', 'CONNECT'])} ${random.pick(TARGETS)} HTTP/1.${random.chance(90) ? 1 : 0}`
  const headers = Array.from({ length: random.int(4) }, () => random.pick(HEADERS))
  return `${[line, ...headers].join(random.chance(97) ? '\r\n' : '\n')}\r\n\r\n${random.pick(BODIES)}`
}

/**
 * What a server that reads by the book finds in what the proxy has sent it. Throws where it finds anything doubtful, above all
 * a request whose target was not asked of the proxy as a URL of this server: `said` is what the client sent.
 */
function asServer(sent: string, said: string, port: number): void {
  for (let text = sent; text !== ''; ) {
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return // it was given up
    const head = parseRequestHead(text.slice(0, end + 4))
    const url = head.startLine.split(' ')[1]
    const asked = [url, url.slice(1)].some((path) => said.includes(`web.shop:${port}${path}`))
    assert.ok(asked, 'a request that no client has made')
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
    // An attempt has a server of its own: what an earlier one said in a tunnel may still arrive, and is no request of this one.
    const servers = await Promise.all(
      Array.from({ length: SERVERS }, async () => {
        const server = { sent: [] as string[], port: 0 }
        server.port = await bench.serve((socket) => {
          const { sent } = server
          const own = sent.push('') - 1
          socket.setEncoding('latin1')
          socket.on('data', (chunk: string) => {
            sent[own] += chunk
            setImmediate(() => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'))
          })
          socket.on('end', () => socket.end())
        })
        return server
      }),
    )
    let attempts = 0
    return {
      async attempt(input, random) {
        const server = servers[attempts++ % SERVERS]
        const sent: string[] = []
        server.sent = sent
        const text = input.toString('latin1').replaceAll('PORT', String(server.port))
        const client = bench.client()
        for (const piece of random.cut(Buffer.from(text, 'latin1'))) client.send(piece)
        client.socket.end()
        await client.ended()
        client.socket.destroy()
        // A tunnel is the client's own: what it says in it is no request of the proxy's.
        if (!/ 200 Connection established/.test(client.got())) for (const one of sent) asServer(one, text, server.port)
      },
      stop: async () => await bench[Symbol.asyncDispose](),
    }
  },
} satisfies Area
