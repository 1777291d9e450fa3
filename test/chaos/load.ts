// The load of the chaos runs, on a laptop that kt connects: what a developer's programs do all day. It prints one line
// `ready`, goes on until its standard input ends, then prints what it saw as JSON.
//   node load.ts '{"host":"web.shop","idle":200,"names":["web.shop"]}'
import { lookup } from 'node:dns/promises'
import net from 'node:net'

export interface LoadConfig {
  /** Echoes on port 7. */
  host: string
  /** Connections that say nothing until the end. */
  idle: number
  /** Looked up in turn, five a second. */
  names: string[]
}

export interface LoadReport {
  /** A numbered echo every 100 ms: arrival times (ms since the epoch), and why it ended early. */
  echo: { sent: number; times: number[]; error?: string }
  /** A pseudo-random stream through the echo, compared byte by byte. */
  stream: { bytes: number; error?: string }
  idle: { opened: number; alive: number }
  /** Those that failed, or took more than 5 s. */
  names: { asked: number; failed: string[] }
  /** Five new connections a second: each echoes a few bytes within 15 s. */
  connects: { tried: number; failed: string[]; slowestMs: number; times: number[] }
}

const ECHO_EVERY_MS = 100
const OTHERS_EVERY_MS = 200
const STREAM_BYTES_A_TURN = 64 * 1024
const CONNECT_MS = 15_000
const NAME_MS = 5_500
const PORT = 7

const config = JSON.parse(process.argv[2]) as LoadConfig
const report: LoadReport = {
  echo: { sent: 0, times: [] },
  stream: { bytes: 0 },
  idle: { opened: 0, alive: 0 },
  names: { asked: 0, failed: [] },
  connects: { tried: 0, failed: [], slowestMs: 0, times: [] },
}
const errno = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)

/** Resolves when a socket is connected. */
function dial(host = config.host): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port: PORT, noDelay: true })
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

function numberedEcho(socket: net.Socket): NodeJS.Timeout {
  const { echo } = report
  const fail = (why: string) => (echo.error ??= why)
  let text = ''
  socket.on('error', (error) => fail(errno(error))).on('close', () => fail('closed'))
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      if (Number(text.slice(0, end)) !== echo.times.length)
        fail(`${text.slice(0, end)} instead of ${echo.times.length}`)
      text = text.slice(end + 1)
      echo.times.push(Date.now())
    }
  })
  return setInterval(() => socket.write(`${echo.sent++}\n`), ECHO_EVERY_MS)
}

/** Bytes that are not alike anywhere near each other. */
const byteAt = (offset: number) => (Math.imul(offset, 2_654_435_761) >>> 13) & 255

function stream(socket: net.Socket): void {
  let sent = 0
  let got = 0
  const fail = (why: string) => (report.stream.error ??= why)
  socket.on('error', (error) => fail(errno(error))).on('close', () => fail('closed'))
  const send = () => {
    const chunk = Buffer.alloc(STREAM_BYTES_A_TURN)
    for (let i = 0; i < chunk.length; i++) chunk[i] = byteAt(sent + i)
    sent += chunk.length
    if (socket.write(chunk)) setTimeout(send, 15)
    else socket.once('drain', () => setTimeout(send, 15))
  }
  socket.on('data', (chunk) => {
    for (const byte of chunk) if (byte !== byteAt(got++)) fail(`byte ${got - 1} is wrong`)
    report.stream.bytes = got
  })
  send()
}

async function idleFlows(): Promise<net.Socket[]> {
  const sockets: net.Socket[] = []
  for (let left = config.idle; left > 0; left -= 100) {
    const some = await Promise.all(Array.from({ length: Math.min(100, left) }, () => dial()))
    for (const socket of some) socket.on('error', () => {})
    sockets.push(...some)
  }
  report.idle.opened = sockets.length
  return sockets
}

async function isAlive(socket: net.Socket): Promise<boolean> {
  if (socket.destroyed) return false
  return await new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), CONNECT_MS)
    const settle = (alive: boolean) => {
      clearTimeout(timer)
      resolve(alive)
    }
    socket.once('data', () => settle(true)).once('close', () => settle(false))
    socket.write('still here\n')
  })
}

async function newConnection(): Promise<void> {
  const { connects } = report
  const began = performance.now()
  connects.tried++
  const timeout = setTimeout(() => {
    connects.failed.push('timeout')
    socket.destroy()
  }, CONNECT_MS)
  const socket = net.connect({ host: config.host, port: PORT })
  socket.on('error', (error) => {
    clearTimeout(timeout)
    connects.failed.push(errno(error))
  })
  socket.on('connect', () => socket.write('hello\n'))
  socket.once('data', () => {
    clearTimeout(timeout)
    connects.slowestMs = Math.max(connects.slowestMs, performance.now() - began)
    connects.times.push(Date.now())
    socket.end()
  })
}

async function askName(): Promise<void> {
  const { names } = report
  const name = config.names[names.asked++ % config.names.length]
  const began = performance.now()
  try {
    await lookup(name)
  } catch (error) {
    names.failed.push(`${name}: ${errno(error)}`)
    return
  }
  if (performance.now() - began > NAME_MS) names.failed.push(`${name}: slow`)
}

const timers = [numberedEcho(await dial())]
stream(await dial())
const idle = await idleFlows()
timers.push(setInterval(() => void newConnection(), OTHERS_EVERY_MS))
timers.push(setInterval(() => void askName(), OTHERS_EVERY_MS))
console.log('ready')
process.stdin.resume()
process.stdin.on('end', async () => {
  for (const timer of timers) clearInterval(timer)
  const alive = await Promise.all(idle.map(isAlive))
  report.idle.alive = alive.filter(Boolean).length
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
})
