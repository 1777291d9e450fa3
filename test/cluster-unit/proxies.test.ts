// Each kind of proxy before an API server that speaks TLS, which is named, or an address: for API calls, and for the
// port-forward's upgrade; from the sources and from what is built, since bundling changes how packages are loaded.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { promisify } from 'node:util'
import type { CheckRequest } from '../../src/control/check.ts'
import type { ShadowConfig } from '../../src/control/config.ts'
import { openPortForward } from '../../src/tunnel/index.ts'
import { createAuthority } from '../lab/certificate.ts'
import { ApiDouble } from './api-double.ts'

const day = 86_400_000
const times = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) }
const authority = createAuthority('ca', times.notBefore, times.notAfter)
const named = authority.issue({ commonName: 'x', names: ['api.acme.test'], addresses: ['203.0.113.7'], ...times })
const caData = Buffer.from(authority.cert).toString('base64')

/** What the proxies lead to, whatever they are asked for. */
let server: Server
const asked: string[] = []
const proxies: Record<string, { url: string; close(): void }> = {}

const listen = async (one: { listen(port: number, host: string, done: () => void): unknown; address(): unknown }) => {
  await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))
  return (one.address() as AddressInfo).port
}

function joinServer(near: Socket, early?: Buffer): void {
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1')
  if (early && early.length > 0) far.write(early)
  near.pipe(far).pipe(near)
  near.on('error', () => far.destroy())
  far.on('error', () => near.destroy())
}

/** CONNECT with `ann:p@ss`, on any stream. */
function serveHttp(socket: Socket): void {
  let head = ''
  const read = (chunk: Buffer) => {
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    socket.off('data', read)
    const authorized = head.includes(`Proxy-Authorization: Basic ${Buffer.from('ann:p@ss').toString('base64')}`)
    asked.push(head.split(' ')[1])
    if (!authorized) return void socket.end('HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n')
    socket.write('HTTP/1.1 200 Go On\r\n\r\n')
    joinServer(socket, Buffer.from(head.slice(end + 4), 'latin1'))
  }
  socket.on('data', read)
  socket.on('error', () => {})
}

/** SOCKS 5 with a password (RFC 1928, 1929). */
function serveSocks(socket: Socket): void {
  let step = 0
  const read = (chunk: Buffer) => {
    if (step++ === 0) return void socket.write(Uint8Array.of(5, chunk.includes(2, 2) ? 2 : 0xff))
    if (step === 2) {
      const text = chunk.toString('latin1')
      return void socket.write(Uint8Array.of(1, text.includes('ann') && text.includes('p@ss') ? 0 : 1))
    }
    socket.off('data', read)
    const host = chunk[3] === 3 ? chunk.subarray(5, 5 + chunk[4]).toString() : chunk.subarray(4, 8).join('.')
    asked.push(`${host}:${chunk.readUInt16BE(chunk.length - 2)}`)
    socket.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    joinServer(socket)
  }
  socket.on('data', read)
  socket.on('error', () => {})
}

before(async () => {
  server = createServer({ key: named.key, cert: named.cert }, (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"gitVersion":"v1.34.4"}')
  })
  server.on('upgrade', (request, socket) => {
    asked.push(`${request.headers.host} ${request.headers.upgrade}`)
    socket.end('HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\nso far.')
  })
  await listen(server)
  const own = authority.issue({ commonName: 'proxy', addresses: ['127.0.0.1'], ...times })
  const kinds = {
    http: createNetServer(serveHttp),
    https: createTlsServer({ key: own.key, cert: own.cert }, serveHttp),
    socks5: createNetServer(serveSocks),
    socks5h: createNetServer(serveSocks),
  }
  for (const [kind, one] of Object.entries(kinds))
    proxies[kind] = { url: `${kind}://ann:p%40ss@127.0.0.1:${await listen(one)}`, close: () => one.close() }
})

after(() => {
  server.closeAllConnections()
  server.close()
  for (const { close } of Object.values(proxies)) close()
})

const servers = { 'a name': 'https://api.acme.test:6443', 'an address': 'https://203.0.113.7:6443' }
const cluster = (proxy: string, url: string) => ({
  ...{ server: url, 'proxy-url': proxy, 'certificate-authority-data': caData },
})

for (const kind of ['http', 'https', 'socks5', 'socks5h'])
  describe(`a ${kind} proxy`, () => {
    for (const [what, url] of Object.entries(servers)) {
      test(`API calls to ${what}, on one connection`, async () => {
        await using double = await ApiDouble.start(() => [200, {}])
        asked.length = 0
        const api = double.api(double.kubeconfig({}, cluster(proxies[kind].url, url)))
        assert.deepEqual(await api.get('/version'), { gitVersion: 'v1.34.4' })
        await api.get('/version')
        assert.deepEqual(asked, [new URL(url).host])
      })

      test(`the upgrade of a port-forward to ${what}`, async () => {
        asked.length = 0
        const tls = { ca: authority.cert, rejectUnauthorized: true }
        const path = '/api/v1/namespaces/n/pods/p/portforward?ports=2222'
        const target = { url: `${url.replace('https', 'wss')}${path}`, headers: {}, tls, proxy: proxies[kind].url }
        await assert.rejects(openPortForward(target), /answered 500 so far/)
        const { host } = new URL(url)
        assert.deepEqual(asked, [host, `${host} SPDY/3.1`])
      })
    }

    test('the built program: it gets as far as the API server', async () => {
      await using double = await ApiDouble.start(() => [200, {}])
      for (const url of Object.values(servers)) {
        const kubeconfig = double.kubeconfig({}, cluster(proxies[kind].url, url))
        const { checks } = await builtCheck(kubeconfig)
        assert.match(checks.find(({ name }) => name === 'API server')?.result ?? '', /^v1\.34\.4/)
      }
    })

    test('a certificate for another name is not taken', async () => {
      await using double = await ApiDouble.start(() => [200, {}])
      for (const url of ['https://other.acme.test:6443', 'https://203.0.113.8:6443']) {
        const api = double.api(double.kubeconfig({}, cluster(proxies[kind].url, url)))
        await assert.rejects(api.get('/version'), { code: 'tls', message: /does not match certificate's altnames/ })
      }
    })

    test('a wrong password is told, with the proxy and without the password', async () => {
      await using double = await ApiDouble.start(() => [200, {}])
      const wrong = proxies[kind].url.replace('p%40ss', 'sesame')
      const api = double.api(double.kubeconfig({}, cluster(wrong, servers['a name'])))
      await assert.rejects(api.get('/version'), (error: Error & { code: string }) => {
        assert.equal(error.code, 'unreachable')
        assert.match(error.message, kind.startsWith('http') ? /proxy 127.0.0.1:\d+ answered 407/ : /SOCKS proxy 127/)
        assert.doesNotMatch(error.message, /sesame/)
        return true
      })
    })
  })

async function builtCheck(kubeconfig: string): Promise<{ checks: { name: string; result: string }[] }> {
  const kt = join(import.meta.dirname, '../../dist/check.js')
  const config: ShadowConfig = {
    ...{ kubeconfig, shadow: 'agent', readyTimeoutS: 60, owner: 'ann@laptop', env: {}, imagePullSecrets: [] },
    ...{ nodeSelector: {}, tolerations: [], labels: {}, annotations: {}, podResources: {} },
  }
  const request: CheckRequest = { config, include: [], exclude: [], tryShadow: false, root: 'none' }
  const { stdout } = await promisify(execFile)(process.execPath, [kt, JSON.stringify(request)])
  const lines = stdout.trim().split('\n')
  return { checks: lines.map((line) => JSON.parse(line) as { name: string; result: string }) }
}
