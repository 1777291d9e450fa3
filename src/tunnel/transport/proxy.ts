// Through a proxy to a server: HTTP CONNECT, over TLS or not, and SOCKS. Names are the proxy's to look up, as for kubectl.
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import { type Deadline, readAnswer, secure, unreachable, type WebSocketTarget } from './dial.ts'
import { Inlet } from './transport.ts'

const HINT = 'see proxy-url in the kubeconfig, and HTTPS_PROXY'

/** A connection to `host` whose bytes nobody reads yet. Rejects with TunnelError 'unreachable', or as sockets fail. */
export async function throughProxy(
  proxy: string,
  host: string,
  port: number,
  tls: WebSocketTarget['tls'],
  deadline: Deadline,
): Promise<Socket> {
  const url = new URL(proxy)
  const proxyHost = url.hostname.replace(/^\[|\]$/g, '')
  const user = decodeURIComponent(url.username)
  const password = decodeURIComponent(url.password)
  if (url.protocol.startsWith('socks')) return throughSocks(url, proxyHost, { user, password }, host, port, deadline)
  const plain = connectTcp({
    host: proxyHost,
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    autoSelectFamily: true,
  })
  await deadline.wait(plain, 'connect')
  const socket = url.protocol === 'https:' ? await secure(plain, proxyHost, trustOf(tls), deadline) : plain
  // RFC 9110 9.3.6
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
  const credentials = Buffer.from(`${user}:${password}`).toString('base64')
  const authorization = user ? `Proxy-Authorization: Basic ${credentials}\r\n` : ''
  const inlet = new Inlet()
  const receive = (chunk: Buffer) => inlet.push(chunk)
  socket.on('data', receive)
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`)
  const answer = await readAnswer(socket, inlet, deadline)
  if (answer.status < 200 || answer.status > 299) {
    socket.destroy()
    const hint =
      answer.status === 407 ? 'put USER:PASSWORD@ in front of its name in proxy-url, or in HTTPS_PROXY' : HINT
    const words = `${answer.status} ${answer.reason}`.trim()
    throw unreachable(`the proxy ${url.host} answered ${words} to CONNECT ${authority}`, hint)
  }
  socket.pause()
  socket.off('data', receive)
  return socket
}

// As in Go's net/http, the settings for the server's certificate also count for an https proxy. The proxy's authority may be
// a public one, too.
function trustOf({ ca, rejectUnauthorized }: WebSocketTarget['tls']): WebSocketTarget['tls'] {
  return { rejectUnauthorized, ...(ca && { ca: [...getCACertificates('default'), ca].join('\n') }) }
}

async function throughSocks(
  url: URL,
  proxyHost: string,
  { user, password }: { user: string; password: string },
  host: string,
  port: number,
  deadline: Deadline,
): Promise<Socket> {
  // Bundled, a CommonJS package that is loaded when needed has a default export and no others.
  const { SocksClient } = (await import('socks')).default
  const proxyPort = Number(url.port || 1080)
  // A socket of our own, which the deadline ends.
  const plain = connectTcp({ host: proxyHost, port: proxyPort, autoSelectFamily: true })
  await deadline.wait(plain, 'connect')
  try {
    const { socket } = await deadline.guard(
      SocksClient.createConnection({
        existing_socket: plain,
        proxy: {
          host: proxyHost,
          port: proxyPort,
          type: url.protocol.startsWith('socks4') ? 4 : 5,
          ...(user ? { userId: user, password } : {}),
        },
        command: 'connect',
        destination: { host, port },
        timeout: deadline.ms,
      }),
    )
    socket.pause()
    return socket
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    if (code) throw error // the connection to the proxy failed, or took too long
    const why = message.replace(/^Socks[45] /i, '').replace(/^proxy /i, '')
    throw unreachable(`the SOCKS proxy ${url.host} does not connect to ${host}:${port}: ${why}`, HINT)
  }
}
