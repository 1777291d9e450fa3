// Requests of real clients to real servers through a tunnel: what is told of them, and that what arrives is what was sent.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { after, test } from 'node:test'
import { credentials, makeGenericClientConstructor, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { systemClock } from '../../src/base/clock.ts'
import type { RequestReport } from '../../src/control/views.ts'
import { LocalTarget } from '../../src/daemon/inbound/local.ts'
import { Complaints } from '../../src/daemon/inbound/once.ts'
import { MACHINE } from '../../src/daemon/inbound/program-network.ts'
import { CallerNames } from '../../src/daemon/requests/caller-names.ts'
import { RequestLog } from '../../src/daemon/requests/request-log.ts'
import { createLoopbackTunnel } from '../support/loopback-tunnel.ts'
import { until } from '../support/until.ts'

const tunnel = createLoopbackTunnel()
const closing: (() => void)[] = [() => void tunnel.close()]
after(() => {
  for (const close of closing) close()
})

/** A port of the shadow that leads to `local`, and what is told of its requests. */
async function expose(local: number): Promise<{ port: number; told: RequestReport[] }> {
  const told: RequestReport[] = []
  const log = new RequestLog({
    clock: systemClock,
    wall: Date.now,
    names: new CallerNames({ ask: async () => null, now: () => systemClock.now() }),
    notice: (line) => assert.fail(line),
    tell: (report) => void told.push(report),
  })
  const target = new LocalTarget({
    network: MACHINE,
    local,
    remote: 80,
    fallback: false,
    addresses: () => [],
    counters: { total: 0, refused: 0, bytesIn: 0, bytesOut: 0 },
    complaints: new Complaints(() => {}),
    watch: (caller) => log.watch(caller, { remote: 80, local }),
  })
  closing.push(() => target.close())
  const { port } = await tunnel.listen(0, 'TCP', target)
  return { port, told }
}

test('bodies of megabytes arrive whole, and are counted: with a length, chunked, and until the end', async () => {
  const body = randomBytes(3_000_000)
  const server = http.createServer((request, response) => {
    if (request.url === '/length') response.setHeader('content-length', body.length)
    request.resume().on('end', () => {
      // With one `end(body)` Node would know the length by itself.
      response.write(body)
      response.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const { port, told } = await expose((server.address() as net.AddressInfo).port)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  closing.push(() => agent.destroy())
  for (const path of ['/length', '/chunked']) {
    const hash = createHash('sha256')
    const request = http.request({ host: '127.0.0.1', port, path, agent, method: 'POST' })
    request.end(randomBytes(100_000))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    for await (const chunk of response) hash.update(chunk as Buffer)
    assert.equal(hash.digest('hex'), createHash('sha256').update(body).digest('hex'))
  }
  // HTTP/1.0: the end of the connection is the end of the body.
  const socket = net.connect(port, '127.0.0.1')
  socket.write('GET /end HTTP/1.0\r\n\r\n')
  let bytes = 0
  for await (const chunk of socket) bytes += (chunk as Buffer).length
  assert.ok(bytes > body.length)
  await until('all three are told', () => told.length === 3)
  assert.deepEqual(
    told.map(({ method, path, status, outcome, caller }) => [method, path, status, outcome, caller.split(':')[0]]),
    [
      ['POST', '/length', 200, 'answered', '127.0.0.1'],
      ['POST', '/chunked', 200, 'answered', '127.0.0.1'],
      ['GET', '/end', 200, 'answered', '127.0.0.1'],
    ],
  )
  assert.equal(told[0].bytesOut, body.length)
  assert.ok(told[0].bytesIn >= 100_000 && told[1].bytesOut > body.length)
  assert.equal(told[2].bytesOut, body.length)
})

test('calls of gRPC’s own library are told with its status', async () => {
  const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() }
  const method = (name: string) => ({
    path: `/shop.Prices/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  })
  const definition = { Get: method('Get'), None: method('None') }
  const server = new Server()
  server.addService(definition, {
    // biome-ignore lint/suspicious/noExplicitAny: the library's handlers have a type for each kind of call
    Get: (call: any, answer: any) => answer(null, `price of ${call.request}`),
    // biome-ignore lint/suspicious/noExplicitAny: as above
    None: (_: any, answer: any) => answer({ code: status.NOT_FOUND, details: 'none' }),
  })
  const local = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  )
  closing.push(() => server.forceShutdown())
  const { port, told } = await expose(local)
  const Client = makeGenericClientConstructor(definition, 'Prices')
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  closing.push(() => client.close())
  const call = (name: string, wanted: string) =>
    new Promise<string>((resolve) =>
      client[name](wanted, (error: { code: number } | null, value: string) => resolve(error ? `${error.code}` : value)),
    )
  assert.deepEqual([await call('Get', 'tea'), await call('None', 'tea')], ['price of tea', '5'])
  await until('both are told', () => told.length === 2)
  assert.deepEqual(
    told.map(({ protocol, method, path, status, grpcStatus, bytesIn }) => [
      protocol,
      method,
      path,
      status,
      grpcStatus,
      bytesIn,
    ]),
    [
      ['gRPC', 'POST', '/shop.Prices/Get', 200, 0, 8],
      ['gRPC', 'POST', '/shop.Prices/None', 200, 5, 8],
    ],
  )
})
