// Programs for tests of the way back, as text for `node -e`: the original that runs in the cluster, the local one that
// takes its place, and a caller that never stops asking. All listen on both families.
import { leave } from './ask-in-pod.ts'

/** HTTP that says who answers, takes uploads and sends downloads with their checksums; echo over TCP and UDP. */
const server = (name: string, http: number[], echo: number) => `
const crypto = require('node:crypto'), dgram = require('node:dgram'), net = require('node:net')
const block = crypto.randomBytes(1 << 20)
const serve = (q, s) => {
  s.on('error', () => {})
  if (q.method === 'PUT') {
    const sum = crypto.createHash('sha256')
    return void q.on('data', (d) => sum.update(d)).on('end', () => s.end(${name} + ' ' + sum.digest('hex')))
  }
  let left = Number(q.url.slice(1)) || 0
  if (left === 0) return void s.end(${name} + ' ' + (q.headers['x-forwarded-for'] ?? q.socket.remoteAddress))
  const sum = crypto.createHash('sha256')
  s.setHeader('trailer', 'x-sha256')
  const more = () => {
    while (left > 0) {
      const piece = block.subarray(0, Math.min(left, block.length))
      left -= piece.length
      sum.update(piece)
      if (!s.write(piece)) return s.once('drain', more)
    }
    s.addTrailers({ 'x-sha256': sum.digest('hex') })
    s.end()
  }
  more()
}
for (const port of ${JSON.stringify(http)}) require('node:http').createServer({ keepAliveTimeout: 60000 }, serve).listen(port, '::')
net.createServer({ allowHalfOpen: true }, (s) => s.on('error', () => {}).pipe(s)).listen(${echo}, '::')
const udp = dgram.createSocket('udp6')
udp.on('message', (m, from) => udp.send(Buffer.concat([Buffer.from(${name} + ' '), m]), from.port, from.address)).bind(${echo})
console.log('listening ' + process.pid)
process.on('SIGTERM', () => process.exit(0))
`

/** In a pod: web on 8080, another port 8081, echo on 7. */
export const original = server("('original-' + require('node:os').hostname())", [8080, 8081], 7)

/** On the laptop. */
export const local = (http: number, echo: number) => server("'here'", [http], echo)

/**
 * Asks HOST:80 for ever, 25 times a second on connections of their own and 25 on one that is kept. Prints a line when
 * another one answers than before (`MS LANE WHO`), and for every failure (`MS LANE failed CODE`); MS is Date.now().
 */
export const caller = (host: string) => `
const http = require('node:http')
const kept = new http.Agent({ keepAlive: true, maxSockets: 1 })
const last = {}
const ask = (lane, agent) => {
  const tell = (what) => console.log(Date.now() + ' ' + lane + ' ' + what)
  const request = http.get({ host: '${host}', port: 80, agent, timeout: 10000 }, (answer) => {
    let text = ''
    answer.on('data', (d) => (text += d)).on('error', (e) => tell('failed ' + e.code)).on('end', () => {
      const who = text.split(' ')[0].split('-')[0]
      if (last[lane] !== who) tell(who)
      last[lane] = who
    })
  })
  request.on('timeout', () => request.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })))
  request.on('error', (e) => tell('failed ' + e.code))
}
setInterval(() => ask('new', false), 40)
setInterval(() => ask('kept', kept), 40)
process.on('SIGTERM', () => process.exit(0))
`

/** One question of a pod: what \`test/support/probe.ts\` asks on a laptop, in short. Prints JSON. */
export const asking = `
const http = require('node:http'), net = require('node:net'), dgram = require('node:dgram'), crypto = require('node:crypto')
const q = JSON.parse(process.argv[1])
const out = (o) => console.log(JSON.stringify(o))
const dial = () => new Promise((ok, no) => {
  const s = net.connect({ host: q.host, port: q.port, allowHalfOpen: true })
  s.once('connect', () => ok(s)).once('error', no)
})
const all = async (s) => { const c = []; for await (const d of s) c.push(d); return Buffer.concat(c) }
const echo = async (bytes) => { const s = await dial(), b = crypto.randomBytes(bytes); s.end(b); return (await all(s)).equals(b) }
const ops = {
  async get() {
    const r = await new Promise((ok, no) => http.get({ host: q.host, port: q.port, path: q.path ?? '/', agent: false }, ok).on('error', no))
    const sum = crypto.createHash('sha256'); let bytes = 0, text = ''
    for await (const d of r) { sum.update(d); bytes += d.length; if (bytes < 1000) text += d }
    return { text, bytes, equal: r.trailers['x-sha256'] === sum.digest('hex') }
  },
  async put() {
    const sum = crypto.createHash('sha256'), block = crypto.randomBytes(1 << 18)
    const request = http.request({ host: q.host, port: q.port, method: 'PUT', agent: false, headers: { 'content-length': q.bytes } })
    const answered = new Promise((ok, no) => request.on('response', ok).on('error', no))
    for (let left = q.bytes; left > 0; left -= block.length) {
      const part = block.subarray(0, Math.min(left, block.length)); sum.update(part)
      if (!request.write(part)) await new Promise((ok) => request.once('drain', ok))
    }
    request.end()
    const text = String(await all(await answered))
    return { equal: text.endsWith(sum.digest('hex')), text: text.split(' ')[0] }
  },
  async echo() { return { equal: await echo(q.bytes) } },
  async many() {
    const sockets = await Promise.all(Array.from({ length: q.count }, dial))
    const got = await Promise.all(sockets.map(async (s, i) => { s.end('n' + i); return String(await all(s)) === 'n' + i }))
    return { echoed: got.filter(Boolean).length }
  },
  async udp() {
    const s = dgram.createSocket('udp4')
    const answer = new Promise((ok) => s.on('message', (m) => ok(String(m))))
    const timer = setInterval(() => s.send('ping', q.port, q.host), 500); s.send('ping', q.port, q.host)
    const text = await Promise.race([answer, new Promise((ok) => setTimeout(ok, 5000, 'nothing'))])
    clearInterval(timer); s.close()
    return { text }
  },
}
const began = Date.now()
ops[q.op]().then((o) => out({ ...o, ms: Date.now() - began }), (e) => out({ error: e.code ?? String(e), ms: Date.now() - began })).then(() => ${leave})
`
