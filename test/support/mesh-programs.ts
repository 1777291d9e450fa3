// Programs for tests of `kt mesh`, as text for `node -e`: a server that says who it is over HTTP/1.1, WebSocket, HTTP/2 and gRPC's way
// of using it, and over a protocol whose server speaks first; and what a pod asks it. Only what Node brings.
import { leave } from './ask-in-pod.ts'

/** 8080: HTTP/1.1 and WebSocket, or HTTP/2 in the clear; 8025: a banner first, then echo. `name` is an expression. */
const server = (name: string, port: number, banner: number | undefined) => `
const http = require('node:http'), http2 = require('node:http2'), net = require('node:net'), crypto = require('node:crypto')
const name = ${name}
const h1 = http.createServer({ keepAliveTimeout: 60000 }, (q, s) => {
  q.on('error', () => {})
  let bytes = 0
  q.on('data', (d) => (bytes += d.length)).on('end', () =>
    s.end(JSON.stringify({ name, bytes, host: q.headers.host, forwarded: q.headers['x-forwarded-for'] })))
})
// WebSocket (RFC 6455), as much as the test needs: one short text frame in, one out.
h1.on('upgrade', (q, socket) => {
  socket.on('error', () => {})
  const accept = crypto.createHash('sha1').update(q.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n')
  socket.on('data', (frame) => {
    if ((frame[0] & 15) === 8) return void socket.end(Buffer.from([0x88, 0]))
    const mask = frame.subarray(2, 6)
    const text = Buffer.from(name + ' ' + frame.subarray(6, 6 + (frame[1] & 127)).map((b, i) => b ^ mask[i % 4]))
    socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]))
  })
})
const h2 = http2.createServer()
h2.on('stream', (stream, headers) => {
  stream.on('error', () => {})
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-name': name }))
  stream.on('data', (message) => stream.write(message)).on('end', () => stream.end())
})
net.createServer((socket) => {
  socket.on('error', () => {})
  socket.once('readable', () => {
    const first = socket.read()
    if (!first) return
    socket.unshift(first)
    ;(first.toString('latin1', 0, 3) === 'PRI' ? h2 : h1).emit('connection', socket)
  })
}).listen(${port}, '::')
${banner ? `net.createServer((s) => { s.on('error', () => {}); s.write('220 ' + name + '\\n'); s.pipe(s) }).listen(${banner}, '::')` : ''}
console.log('listening ' + process.pid)
process.on('SIGTERM', () => process.exit(0))
`

/** In a pod. */
export const meshOriginal = server("'original'", 8080, 8025)

/** On a laptop. */
export const meshLocal = (name: string, port: number) => server(`'${name}'`, port, undefined)

/**
 * What a pod asks, as JSON in the first argument: { host, port, op, versions }. \`keptAlive\`: a request for each version on one
 * connection; \`webSocket\`, \`http2\`: each version on its own, and on one session. Prints JSON: who answered.
 */
export const meshAsking = `
const http = require('node:http'), http2 = require('node:http2'), net = require('node:net')
const q = JSON.parse(process.argv[1])
const headers = (version) => (version ? { [q.header]: version } : {})
const get = (version, agent, body) => new Promise((ok, no) => {
  const r = http.request({ host: q.host, port: q.port, agent, method: body ? 'POST' : 'GET', headers: headers(version) }, async (a) => {
    let text = ''
    for await (const d of a) text += d
    ok(a.statusCode === 200 ? { ...JSON.parse(text) } : { status: a.statusCode, text })
  })
  r.on('error', no)
  r.end(body)
})
const ops = {
  async keptAlive() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const got = []
    for (const version of q.versions) got.push(await get(version, agent, q.bytes ? Buffer.alloc(q.bytes) : undefined))
    agent.destroy()
    return got
  },
  webSocket: () => Promise.all(q.versions.map((version) => new Promise((ok, no) => {
    const r = http.get({ host: q.host, port: q.port, headers: { ...headers(version), Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64') } })
    r.on('error', no).on('response', (a) => no(new Error('status ' + a.statusCode)))
    r.on('upgrade', (_, socket) => {
      socket.on('error', no)
      socket.on('data', (frame) => { ok(String(frame.subarray(2))); socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0])) })
      const text = Buffer.from('hello')
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]))
    })
  }))),
  async http2() {
    const session = http2.connect('http://' + q.host + ':' + q.port)
    const got = await Promise.all(q.versions.map((version) => new Promise((ok, no) => {
      const stream = session.request({ ':method': 'POST', te: 'trailers', ...headers(version) })
      let trailers = {}, text = '', sent = 0
      stream.on('error', no).on('trailers', (t) => (trailers = t))
      const more = () => (sent++ < 3 ? stream.write('m' + sent) : stream.end())
      // Each message after the answer to the one before: streaming both ways.
      stream.on('data', (d) => { text += d; more() }).on('end', () => ok({ text, name: trailers['x-name'], status: trailers['grpc-status'] }))
      more()
    })))
    session.destroy()
    return got
  },
  banner: () => new Promise((ok, no) => {
    const s = net.connect(q.port, q.host)
    let text = ''
    s.on('error', no).on('data', (d) => { text += d; if (text.includes('again')) { s.destroy(); ok(text) } else if (text.includes('220')) s.write('again') })
  }),
}
ops[q.op]().then((o) => console.log(JSON.stringify(o)), (e) => console.log(JSON.stringify({ error: e.code ?? String(e) }))).then(() => ${leave})
`
