// What a program gets through a SOCKS proxy, or through the library in its own process: run by bench/proxy.ts on a laptop as
// `proxy-client.ts PORT|library TEST SECONDS HOST`. The host serves as `web` in the cluster of tests does: port 7 echoes, 9
// discards, 19 sends for ever.
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectCluster } from '../dist/index.js'

const [way, test, secondsText, host] = process.argv.slice(2)
const seconds = Number(secondsText)
const cluster = way === 'library' ? await connectCluster({ namespace: host.split('.')[1] }) : undefined

/** A connection to a port of the host. */
function open(port: number): Promise<Duplex> {
  if (cluster) {
    return new Promise((resolve, reject) => {
      const socket = cluster.connect({ host, port })
      socket.once('connect', () => resolve(socket)).once('error', reject)
    })
  }
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: '127.0.0.1', port: Number(way), noDelay: true })
    socket.once('error', reject)
    socket.write(Buffer.from([5, 1, 0]))
    let got = Buffer.alloc(0)
    let asked = false
    socket.on('data', function read(chunk: Buffer) {
      got = Buffer.concat([got, chunk])
      if (!asked && got.length >= 2) {
        asked = true
        got = got.subarray(2)
        socket.write(Buffer.from([5, 1, 0, 3, host.length, ...Buffer.from(host), port >> 8, port & 255]))
      }
      if (!asked || got.length < 10) return
      socket.off('data', read)
      socket.pause()
      if (got[1] !== 0) reject(new Error(`SOCKS reply ${got[1]}`))
      else {
        if (got.length > 10) socket.unshift(got.subarray(10))
        resolve(socket)
      }
    })
  })
}

/** MB/s of `count` connections at once. */
async function down(count: number): Promise<number> {
  const streams = await Promise.all(Array.from({ length: count }, () => open(19)))
  let bytes = 0
  for (const stream of streams) stream.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume()
  await pause(300) // buffers fill
  const [from, began] = [bytes, performance.now()]
  await pause(seconds * 1000)
  const rate = (bytes - from) / (performance.now() - began) / 1000
  for (const stream of streams) stream.destroy()
  return rate
}

async function up(): Promise<number> {
  const stream = await open(9)
  const chunk = Buffer.alloc(64 << 10)
  let bytes = 0
  let over = false
  const more = () => {
    while (!over && stream.write(chunk, () => (bytes += chunk.length)));
  }
  stream.on('drain', more).resume()
  more()
  await pause(300)
  const [from, began] = [bytes, performance.now()]
  await pause(seconds * 1000)
  const rate = (bytes - from) / (performance.now() - began) / 1000
  over = true
  stream.destroy()
  return rate
}

/** New connections a second, `count` at a time; each is used for one byte. */
async function connections(count: number): Promise<number> {
  const until = performance.now() + seconds * 1000
  let made = 0
  const worker = async () => {
    while (performance.now() < until) {
      const stream = await open(7)
      stream.write('x')
      await new Promise((resolve, reject) => stream.once('data', resolve).once('error', reject).resume())
      stream.destroy()
      made++
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: count }, worker))
  return made / ((performance.now() - began) / 1000)
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const tests: Record<string, () => Promise<number>> = {
  down1: () => down(1),
  down8: () => down(8),
  up1: () => up(),
  connect: () => connections(1),
  connect32: () => connections(32),
}
console.log(JSON.stringify({ [test]: await tests[test]() }))
await cluster?.close()
process.exit()
