// The little services every test dials: echo, discard, chargen (RFC 862, 863, 864 in spirit), UDP echo, and an HTTP
// server that says who answered, gives and takes bytes with a checksum, and can break off a download with a reset.
import { createCipheriv, createHash } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

const blockSize = 1 << 18
const chargenBlock = Buffer.alloc(blockSize, 'x')

/** The `length` bytes that `/bytes?n=length` sends: a key stream, so that any shifted or lost byte shows. */
export function* content(length: number): Generator<Buffer> {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  const zeros = Buffer.alloc(blockSize)
  for (let left = length; left > 0; left -= blockSize) yield stream.update(zeros.subarray(0, Math.min(left, blockSize)))
}

export function contentDigest(length: number): string {
  const hash = createHash('sha256')
  for (const block of content(length)) hash.update(block)
  return hash.digest('hex')
}

async function listen(server: net.Server, port: number, address: string): Promise<void> {
  server.listen({ port, host: address, ipv6Only: true, backlog: 4096 })
  await once(server, 'listening')
}

/** TCP 7 echoes (half-close too), 9 discards, 19 sends for ever; UDP 7 echoes. */
export async function startSmallServices(address: string): Promise<void> {
  const echo = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  const discard = net.createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.resume()
  })
  const chargen = net.createServer((socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(chargenBlock));
    }
    socket.on('error', () => socket.destroy())
    socket.on('drain', more)
    more()
  })
  await listen(echo, 7, address)
  await listen(discard, 9, address)
  await listen(chargen, 19, address)
  const udp = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4')
  udp.on('message', (message, peer) => udp.send(message, peer.port, peer.address))
  udp.bind(7, address)
  await once(udp, 'listening')
}

/**
 * `/` says who answers, in the manner of `{"from":"web-0",...}`; `/bytes?n=` sends that many bytes of `content`;
 * `/upload` takes a body and tells its length and SHA-256; `/reset?after=` promises 64 MiB and resets after so many.
 */
export async function startHttp(address: string, port: number, names: string[]): Promise<void> {
  let turn = 0
  const server = http.createServer((request, response) => {
    const from = names[turn++ % names.length]
    const url = new URL(request.url ?? '/', 'http://lab')
    response.on('error', () => response.destroy())
    if (url.pathname === '/bytes') return sendBytes(response, Number(url.searchParams.get('n')))
    if (url.pathname === '/upload') return takeBytes(request, response)
    if (url.pathname === '/reset') return sendAndReset(response, Number(url.searchParams.get('after')))
    const { method, headers } = request
    response.setHeader('content-type', 'application/json')
    response.end(`${JSON.stringify({ from, method, url: request.url, headers, peer: request.socket.remoteAddress })}\n`)
  })
  server.keepAliveTimeout = 60_000
  await listen(server, port, address)
}

async function sendBytes(response: http.ServerResponse, length: number): Promise<void> {
  response.setHeader('content-length', length)
  const closed = new AbortController()
  response.on('close', () => closed.abort())
  for (const block of content(length)) {
    if (response.destroyed) return
    if (!response.write(block)) await once(response, 'drain', { signal: closed.signal }).catch(() => undefined)
  }
  response.end()
}

function takeBytes(request: http.IncomingMessage, response: http.ServerResponse): void {
  const hash = createHash('sha256')
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  request.on('end', () => response.end(`${JSON.stringify({ bytes, sha256: hash.digest('hex') })}\n`))
}

function sendAndReset(response: http.ServerResponse, after: number): void {
  const socket = response.socket!
  response.setHeader('content-length', 64 << 20)
  response.write(Buffer.alloc(after, 'r'), () => {
    // A reset throws away what the other side has not read yet: give it a moment to be on its way.
    setTimeout(() => socket.resetAndDestroy(), 50)
  })
}
