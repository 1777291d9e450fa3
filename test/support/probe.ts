// A program that tests run on a laptop (of the lab or of a real cluster): one question as JSON in, one answer as JSON
// out. It sees the network as any program there does.
//   node probe.ts '{"op":"tcp","host":"10.0.0.1","port":80}'
import { createHash, randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import { lookup, Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

/** What can be asked, and what comes back. Times are milliseconds; `error` is an errno name. */
export interface Probes {
  /** Connects and closes. */
  tcp: { in: { host: string; port: number; timeoutMs?: number }; out: { error?: string; ms: number } }
  /** Sends random bytes and FIN, then reads to the end: what half-close is for. `gapMs` waits before the FIN. */
  echo: { in: { host: string; port: number; bytes: number }; out: { equal: boolean; error?: string; ms: number } }
  /** One datagram of each size, one after the other; null for no answer within a second. */
  udp: { in: { host: string; port: number; sizes: number[] }; out: { ms: (number | null)[] } }
  /** HTTP GET. `bytes` and `sha256` are of what came, also before an error. */
  get: {
    in: { url: string; timeoutMs?: number; keepText?: boolean }
    out: { status?: number; bytes: number; sha256: string; text?: string; error?: string; ms: number }
  }
  /** HTTP PUT of random bytes; `sha256` is of what was sent, `text` the answer. */
  put: {
    in: { url: string; bytes: number; timeoutMs?: number }
    out: { sha256: string; text: string; error?: string; ms: number }
  }
  /** Reads for so long from a port that sends for ever. */
  speed: { in: { host: string; port: number; ms: number }; out: { bytes: number; ms: number; error?: string } }
  /** The answer of the DNS servers in /etc/resolv.conf, or of `server`; values sorted, as text. */
  resolve: {
    in: { name: string; type: 'A' | 'AAAA' | 'SRV' | 'TXT' | 'PTR'; server?: string }
    out: { values: string[]; error?: string; ms: number }
  }
  /** getaddrinfo, as most programs ask. */
  lookup: { in: { name: string }; out: { values: string[]; error?: string; ms: number } }
  /** So many connections at once, each echoing a few bytes, then all closed. */
  many: {
    in: { host: string; port: number; count: number; timeoutMs?: number }
    out: { echoed: number; errors: Record<string, number>; ms: number }
  }
  /** Short connections one after the other, `lanes` at a time. */
  series: {
    in: { host: string; port: number; count: number; lanes: number }
    out: { echoed: number; errors: Record<string, number>; ms: number }
  }
}
export type ProbeName = keyof Probes

type Implementations = { [N in ProbeName]: (question: Probes[N]['in']) => Promise<Omit<Probes[N]['out'], 'ms'>> }

const errno = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)

/** Resolves to a connected socket, or rejects with an errno. */
async function dial(host: string, port: number, timeoutMs = 10_000): Promise<net.Socket> {
  const socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true, autoSelectFamily: false })
  const timer = setTimeout(() => socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })), timeoutMs)
  try {
    await once(socket, 'connect')
  } finally {
    clearTimeout(timer)
  }
  return socket
}

async function echoOnce(host: string, port: number, bytes: number, timeoutMs?: number): Promise<boolean> {
  const socket = await dial(host, port, timeoutMs)
  const sent = randomBytes(bytes)
  socket.end(sent)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks).equals(sent)
}

function tally() {
  const errors: Record<string, number> = {}
  return { errors, add: (error: unknown) => (errors[errno(error)] = (errors[errno(error)] ?? 0) + 1) }
}

const probes: Implementations = {
  async tcp({ host, port, timeoutMs }) {
    const socket = await dial(host, port, timeoutMs)
    socket.destroy()
    return {}
  },
  async echo({ host, port, bytes }) {
    return { equal: await echoOnce(host, port, bytes) }
  },
  async udp({ host, port, sizes }) {
    const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
    socket.on('error', () => undefined)
    const ms: (number | null)[] = []
    for (const size of sizes) {
      const payload = randomBytes(size)
      const began = performance.now()
      const answer = new Promise<boolean>((resolve) => {
        const timer = setTimeout(resolve, 1000, false)
        socket.removeAllListeners('message').on('message', (message) => {
          if (!message.equals(payload)) return
          clearTimeout(timer)
          resolve(true)
        })
      })
      socket.send(payload, port, host)
      ms.push((await answer) ? performance.now() - began : null)
    }
    socket.close()
    return { ms } as never
  },
  async get({ url, timeoutMs = 60_000, keepText }) {
    const hash = createHash('sha256')
    let bytes = 0
    let text = ''
    let status: number | undefined
    let error: string | undefined
    try {
      const request = http.get(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      request.on('error', () => undefined)
      status = response.statusCode
      for await (const chunk of response as AsyncIterable<Buffer>) {
        bytes += chunk.length
        hash.update(chunk)
        if (keepText) text += chunk
      }
    } catch (failure) {
      error = errno(failure)
    }
    return { status, bytes, sha256: hash.digest('hex'), text, error }
  },
  async put({ url, bytes, timeoutMs = 60_000 }) {
    const hash = createHash('sha256')
    const signal = AbortSignal.timeout(timeoutMs)
    const request = http.request(url, { method: 'PUT', agent: false, headers: { 'content-length': bytes }, signal })
    const answered = once(request, 'response') as Promise<[http.IncomingMessage]>
    const block = randomBytes(1 << 18)
    for (let left = bytes; left > 0; left -= block.length) {
      const part = block.subarray(0, Math.min(left, block.length))
      hash.update(part)
      if (!request.write(part)) await once(request, 'drain')
    }
    request.end()
    const [response] = await answered
    let text = ''
    for await (const chunk of response) text += chunk
    return { sha256: hash.digest('hex'), text }
  },
  async speed({ host, port, ms }) {
    const socket = await dial(host, port)
    let bytes = 0
    socket.on('data', (chunk) => (bytes += chunk.length)).on('error', () => undefined)
    await new Promise((resolve) => setTimeout(resolve, ms))
    socket.resetAndDestroy()
    return { bytes }
  },
  async resolve({ name, type, server }) {
    const resolver = new Resolver({ timeout: 3000, tries: 2 })
    if (server) resolver.setServers([server])
    const found = type === 'PTR' ? await resolver.reverse(name) : await resolver.resolve(name, type)
    return { values: (found as unknown[]).map(recordText).sort() }
  },
  async lookup({ name }) {
    return { values: (await lookup(name, { all: true })).map(({ address }) => address).sort() }
  },
  async many({ host, port, count, timeoutMs = 30_000 }) {
    const { errors, add } = tally()
    const sockets = await Promise.all(
      Array.from({ length: count }, () => dial(host, port, timeoutMs).catch((error) => void add(error))),
    )
    const answers = await Promise.all(
      sockets.map(async (socket, i) => {
        if (!socket) return false
        try {
          socket.write(`hello ${i}`)
          const [chunk] = await once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) })
          return String(chunk) === `hello ${i}`
        } catch (error) {
          add(error)
          return false
        }
      }),
    )
    for (const socket of sockets) socket?.destroy()
    return { echoed: answers.filter(Boolean).length, errors }
  },
  async series({ host, port, count, lanes }) {
    const { errors, add } = tally()
    let left = count
    let echoed = 0
    const lane = async () => {
      while (left-- > 0) {
        const equal = await echoOnce(host, port, 16).catch((error) => void add(error))
        if (equal) echoed++
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    return { echoed, errors }
  },
}

function recordText(record: unknown): string {
  if (typeof record === 'string') return record
  if (Array.isArray(record)) return record.join('')
  const { name, port } = record as { name: string; port: number }
  return `${name}:${port}`
}

if (process.argv[1] === import.meta.filename) {
  const { op, ...question } = JSON.parse(process.argv[2])
  const began = performance.now()
  let answer: object
  try {
    answer = await probes[op as ProbeName](question)
  } catch (error) {
    answer = { error: errno(error), values: [], equal: false, errors: {} }
  }
  const ms = performance.now() - began
  process.stdout.write(JSON.stringify({ ms, ...answer }), () => process.exit(0))
}
