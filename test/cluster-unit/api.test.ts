import assert from 'node:assert/strict'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createNetServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ClusterError, type ClusterErrorCode } from '../../src/cluster/calls.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { ApiDouble } from './api-double.ts'

async function refused(
  promise: Promise<unknown>,
  code: ClusterErrorCode,
  message: RegExp,
  hint?: RegExp,
): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof ClusterError, String(error))
    assert.match(error.message, message)
    assert.equal(error.code, code)
    if (hint) assert.match(error.hint, hint)
    return true
  })
}

/** An Api whose waits are noted and take no time. */
function patient(double: ApiDouble) {
  const waits: number[] = []
  const sleep = async (ms: number) => void waits.push(ms)
  return { api: double.api(undefined, undefined, { sleep }), waits }
}

test('a token goes along, and a path of the server stays in front', async () => {
  await using double = await ApiDouble.start(() => [200, { ok: 1 }])
  const api = double.api(
    double.kubeconfig({ token: 'sesame', as: 'ann' }, { server: `${double.url}/k8s/clusters/c-1` }),
  )
  assert.deepEqual(await api.get('/version', { a: 'b c' }), { ok: 1 })
  const [{ path, query, headers }] = double.asked
  assert.equal(path, '/k8s/clusters/c-1/version')
  assert.equal(query.get('a'), 'b c')
  assert.equal(headers.authorization, 'Bearer sesame')
  assert.equal(headers['impersonate-user'], 'ann')
})

test('an API server that takes the request and says nothing is given up after 35 s', async () => {
  const asked = Promise.withResolvers<void>()
  await using double = await ApiDouble.start(() => {
    asked.resolve()
    return undefined
  })
  const clock = new VirtualTime()
  let over = false
  const answer = double.api(undefined, undefined, { time: { clock, wall: () => 0 } }).get('/version')
  const settled = refused(answer, 'unreachable', /does not answer/).finally(() => {
    over = true
  })
  await asked.promise
  await clock.run(34_999)
  await new Promise<void>((resolve) => void setImmediate(resolve))
  assert.ok(!over)
  await clock.run(1)
  assert.equal(clock.pending, 0, 'its limit has passed')
  await settled
})

test('requests one after the other ride one connection', async () => {
  const ports = new Set<number>()
  await using double = await ApiDouble.start((_, response) => {
    ports.add(response.socket!.remotePort!)
    return [200, {}]
  })
  const api = double.api()
  for (let i = 0; i < 3; i++) await api.get('/version')
  assert.equal(ports.size, 1)
})

test('a watch delivers events that are cut anywhere, and ends with the answer', async () => {
  const events = [...'äb'].map((name) => ({ type: 'ADDED', object: { metadata: { name } } }))
  const bytes = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  await using double = await ApiDouble.start((_, response) => {
    response.writeHead(200)
    const next = (i: number): void => {
      if (i < bytes.length) response.write(bytes.subarray(i, i + 1), () => setImmediate(next, i + 1))
      else response.end()
    }
    next(0)
    return undefined
  })
  const seen = []
  for await (const event of double.api().watch('/api/v1/pods', {}, new AbortController().signal)) seen.push(event)
  assert.deepEqual(seen, events)
})

test('a watch that is too old is an error', async () => {
  const event = { type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old resource version' } }
  await using double = await ApiDouble.start(() => [200, event])
  const events = double.api().watch('/api/v1/pods', {}, new AbortController().signal)
  // The double ends its answer without a line feed; the API server never does.
  await using lined = await ApiDouble.start((_, response) => {
    response.end(`${JSON.stringify(event)}\n`)
    return undefined
  })
  for await (const _ of events) assert.fail('half a line is no event')
  const refusal = lined.api().watch('/api/v1/pods', {}, new AbortController().signal).next()
  await refused(refusal, 'gone', /too old resource version/)
})

test('an aborted watch ends at once', async () => {
  await using double = await ApiDouble.start((_, response) => {
    response.writeHead(200).write(`${JSON.stringify({ type: 'ADDED', object: {} })}\n`)
    return undefined
  })
  const abort = new AbortController()
  const events = double.api().watch('/api/v1/pods', {}, abort.signal)
  assert.equal((await events.next()).value?.type, 'ADDED')
  abort.abort()
  await refused(events.next(), 'gone', /given up/)
})

test('a token that was replaced in the kubeconfig: the second try has the new one', async () => {
  await using double = await ApiDouble.start(({ headers }) =>
    headers.authorization === 'Bearer new' ? [200, {}] : [401, { message: 'Unauthorized' }],
  )
  const api = double.api(double.kubeconfig({ token: 'old' }))
  double.kubeconfig({ token: 'new' })
  await api.get('/version')
  assert.equal(double.asked.length, 2)
})

test('a token that has expired: since when, by the API server’s clock', async () => {
  await using double = await ApiDouble.start(() => [401, { message: 'Unauthorized' }])
  const payload = Buffer.from(JSON.stringify({ exp: 1_600_000_000 })).toString('base64url')
  const api = double.api(double.kubeconfig({ token: `e30.${payload}.x` }))
  await refused(api.get('/version'), 'credentials', /token of user "u" expired on 2020-09-13T12:26:40/)
})

test('a user without credentials is told so, whether the API server asks for some or takes everybody for nobody', async () => {
  const anonymous = (path: string) =>
    `services is forbidden: User "system:anonymous" cannot get path "${path}": No policy matched.`
  await using strict = await ApiDouble.start(() => [401, { message: 'Unauthorized' }])
  await using lenient = await ApiDouble.start(({ path }) =>
    path === '/version' ? [200, {}] : [403, { kind: 'Status', message: anonymous(path) }],
  )
  const words = /^user "u" of the kubeconfig has no credentials: /
  await refused(strict.api(strict.kubeconfig({})).get('/version'), 'credentials', words)
  const api = lenient.api(lenient.kubeconfig({}))
  await refused(api.introduce(), 'credentials', words, /needs a token, a client certificate or a credential plugin/)
  await refused(api.ask('GET', '/api/v1/pods'), 'credentials', words)
  await refused(api.watch('/api/v1/pods', {}, new AbortController().signal).next(), 'credentials', words)
  // With credentials the version is enough; that they do not arrive is another matter.
  const known = lenient.api()
  await known.introduce()
  await refused(known.get('/api/v1/pods'), 'credentials', /does not see the credentials of user "u"/)
})

test('plain http to a port that speaks TLS, and answers that no API server gives', async () => {
  const texts = ['Client sent an HTTP request to an HTTPS server.\n', 'The plain HTTP request was sent to HTTPS port']
  for (const text of texts) {
    await using double = await ApiDouble.start((_, response) => void response.writeHead(400).end(text))
    await refused(
      double.api().get('/version'),
      'tls',
      /is plain http, and https is spoken there/,
      /cluster "c".*https:/,
    )
  }
  await using moved = await ApiDouble.start(
    (_, response) => void response.writeHead(301, { location: 'https://x/' }).end(),
  )
  await refused(moved.api().get('/version'), 'unreachable', /sends on to https:\/\/x\//, /check the server/)
  await using page = await ApiDouble.start((_, response) => void response.writeHead(405).end('<html>no</html>'))
  await refused(page.api().get('/version'), 'unreachable', /answered 405: <html>no/, /check the kubeconfig's server/)
})

function plugin(double: ApiDouble, script: string, more: object = {}): string {
  const command = join(double.folder, 'plugin')
  writeFileSync(command, `#!/bin/sh\n${script}\n`)
  chmodSync(command, 0o755)
  return double.kubeconfig({ exec: { apiVersion: 'client.authentication.k8s.io/v1', command, ...more } })
}

test('an exec plugin gives the token, knows its version, and is asked once', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const credential = { kind: 'ExecCredential', status: { token: 'from-plugin' } }
  const log = join(double.folder, 'log')
  const api = double.api(plugin(double, `echo "$KUBERNETES_EXEC_INFO" >>${log}; echo '${JSON.stringify(credential)}'`))
  await api.get('/version')
  await api.get('/version')
  assert.equal(double.asked[1].headers.authorization, 'Bearer from-plugin')
  const calls = readFileSync(log, 'utf8').trim().split('\n')
  assert.equal(calls.length, 1)
  assert.equal(JSON.parse(calls[0]).apiVersion, 'client.authentication.k8s.io/v1')
})

test('an exec plugin that fails: the last line it said', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const api = double.api(plugin(double, 'echo starting >&2; echo "session expired, log in again" >&2; exit 1'))
  await refused(
    api.get('/version'),
    'credentials',
    /plugin ".*plugin" of user "u" failed: session expired, log in again$/,
  )
})

test('an exec plugin that says something else than JSON', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  await refused(double.api(plugin(double, 'echo hello')).get('/version'), 'credentials', /its answer is no JSON/)
})

test('an exec plugin that is not installed: its own hint', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const exec = { command: 'kt-no-such-plugin', installHint: '\nget it from the wiki\nand so on' }
  const api = double.api(double.kubeconfig({ exec }))
  await refused(
    api.get('/version'),
    'credentials',
    /"kt-no-such-plugin" .*cannot be run \(ENOENT\)/,
    /^get it from the wiki$/,
  )
})

test('a client certificate whose file is missing', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const api = double.api(double.kubeconfig({ 'client-certificate': 'no.crt', 'client-key': 'no.key' }))
  await refused(
    api.get('/version'),
    'kubeconfig-invalid',
    /client-certificate of user "u" .*no\.crt, is not there \(ENOENT\)/,
  )
})

test('a proxy of the environment is used, and named when it refuses', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const seen: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, socket) => {
    seen.push(request.url!)
    const { port } = new URL(double.url)
    const out = connect(Number(port), '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
    out.pipe(socket).pipe(out)
    out.on('error', () => socket.destroy())
    socket.on('error', () => out.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  try {
    const kubeconfig = double.kubeconfig(undefined, { server: 'http://api.invalid:8080' })
    const api = double.api(kubeconfig, { HTTP_PROXY: url })
    await api.get('/version')
    assert.equal(seen[0], 'api.invalid:8080')
    api.close()
  } finally {
    proxy.closeAllConnections()
    await new Promise((resolve) => proxy.close(resolve))
  }
  const gone = double.api(double.kubeconfig(undefined, { server: 'http://api.invalid:8080' }), { HTTP_PROXY: url })
  await refused(
    gone.get('/version'),
    'unreachable',
    /behind the proxy http:\/\/127\.0\.0\.1:\d+ refuses the connection/,
  )
})

test('a DELETE without a name, which would mean all objects, is never sent', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const api = double.api(double.kubeconfig({ token: 'sesame' }))
  for (const path of ['/api/v1/namespaces/shop/pods/', '/api/v1/namespaces/shop/pods/undefined'])
    await assert.rejects(api.ask('DELETE', path), /names no object/)
  assert.equal(double.asked.length, 0)
})

test('a connection that is closed without an answer: reading is asked again, four times more, writing is not', async () => {
  let cut = 1
  await using double = await ApiDouble.start((_, response) => {
    if (cut-- > 0) response.socket!.destroy()
    else return [200, { ok: 1 }]
    return undefined
  })
  const { api, waits } = patient(double)
  assert.deepEqual(await api.get('/version'), { ok: 1 })
  assert.deepEqual(waits, []) // the first time at once: the connection may have been an old one
  cut = 6
  await refused(api.get('/version'), 'unreachable', /closed the connection/)
  assert.deepEqual(waits, [200, 400, 800])
  cut = 1
  await refused(api.send('POST', '/api/v1/things', { body: {} }), 'unreachable', /closed the connection/)
  assert.equal(double.asked.length, 2 + 5 + 1)
})

test('a connection that is closed before anything was sent on it is opened again, whatever it is for', async () => {
  let cut = 1
  await using double = await ApiDouble.start(() => [200, { ok: 1 }])
  const front = createNetServer((socket) => {
    if (cut-- > 0) socket.destroy()
    else socket.pipe(connect(Number(new URL(double.url).port), '127.0.0.1')).pipe(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const server = `https://127.0.0.1:${(front.address() as AddressInfo).port}`
  const api = double.api(double.kubeconfig({}, { server, 'insecure-skip-tls-verify': true }))
  // What is behind speaks no TLS: the second try gets that far.
  await assert.rejects(api.send('POST', '/api/v1/things', { body: {} }), /TLS|SSL|EPROTO/)
  assert.equal(cut, -1)
  front.close()
})
