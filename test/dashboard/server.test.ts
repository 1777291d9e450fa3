import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { Feed } from '../../src/dashboard/feed.ts'
import type { Connection } from '../../src/dashboard/model.ts'
import { serveDashboard } from '../../src/dashboard/server.ts'
import { until } from '../support/until.ts'
import { connectedStatus, EngineDouble } from './double.ts'
import { fixture, page, whose } from './fixture.ts'

interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  text: string
}

/** Not fetch: that sets Host and Origin by itself. */
function ask(url: string, options: http.RequestOptions & { body?: string } = {}): Promise<Answer> {
  const { body, ...rest } = options
  return new Promise((resolve, reject) => {
    const request = http.request(url, rest, async (response) => {
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      resolve({ status: response.statusCode!, headers: response.headers, text })
    })
    request.on('error', reject).end(body)
  })
}

async function enter(url: string): Promise<{ origin: string; cookie: string }> {
  const { headers } = await ask(url)
  return { origin: new URL(url).origin, cookie: headers['set-cookie']![0].split(';')[0] }
}

test('it listens on loopback only, and the token in the address is exchanged for a cookie', async () => {
  await using it = await fixture()
  const url = new URL(it.dashboard.url)
  assert.equal(url.hostname, '127.0.0.1')
  const { status, headers } = await ask(it.dashboard.url)
  assert.deepEqual([status, headers.location], [303, '/'])
  const [cookie] = headers['set-cookie']!
  assert.match(cookie, /HttpOnly/)
  assert.match(cookie, /SameSite=Strict/)
  const first = await ask(`${url.origin}/`, { headers: { cookie: cookie.split(';')[0] } })
  assert.equal(first.status, 200)
  assert.match(first.text, /<script src="\/page\.js"/)
})

test('without the token, or with another, nothing is told', async () => {
  await using it = await fixture()
  const { origin, cookie } = await enter(it.dashboard.url)
  const wrong = `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`
  for (const path of ['/', '/events', '/page.js', '/?token=guess', '/?token='])
    for (const headers of [{}, { cookie: wrong }]) {
      const { status, text } = await ask(`${origin}${path}`, { headers })
      assert.equal(status, 401, path)
      assert.match(text, /^open the address that kt dashboard printed/)
    }
})

test('another name for this address is refused: DNS rebinding', async () => {
  await using it = await fixture()
  const { origin, cookie } = await enter(it.dashboard.url)
  const { port } = new URL(origin)
  for (const host of [`evil.example:${port}`, '127.0.0.1', `127.0.0.1.evil.example:${port}`])
    assert.equal((await ask(`${origin}/`, { headers: { host, cookie } })).status, 400, host)
  assert.equal((await ask(`${origin}/`, { headers: { host: `localhost:${port}`, cookie } })).status, 200)
})

test('only the page itself may send, not one of another origin, nor one without', async () => {
  await using it = await fixture()
  const { origin, cookie } = await enter(it.dashboard.url)
  const down = (headers: Record<string, string>) =>
    ask(`${origin}/api/disconnect`, { method: 'POST', headers: { cookie, ...headers }, body: '{}' })
  for (const other of ['http://evil.example', 'null', 'http://127.0.0.1:1', origin.replace('http', 'https')])
    assert.equal((await down({ origin: other })).status, 403, other)
  assert.equal((await down({})).status, 403)
  assert.equal((await down({ origin, 'sec-fetch-site': 'same-site' })).status, 403)
  assert.deepEqual(it.engine.asked, [])
  assert.deepEqual(JSON.parse((await down({ origin })).text), { ok: true, result: { notes: [] } })
  assert.deepEqual(it.engine.asked, ['down'])
})

test('every answer forbids scripts of others, framing and keeping', async () => {
  await using it = await fixture()
  const { origin, cookie } = await enter(it.dashboard.url)
  for (const path of ['/', '/page.js', '/page.css', '/icon.svg', '/nothing']) {
    const { headers } = await ask(`${origin}${path}`, { headers: { cookie } })
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /default-src 'none'; script-src 'self'/, path)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe/)
    assert.equal(headers['cache-control'], 'no-store')
  }
})

test('a request that is none, or too long, is answered in words', async () => {
  await using it = await fixture()
  const { origin, cookie } = await enter(it.dashboard.url)
  const post = async (action: string, body: string) =>
    JSON.parse((await ask(`${origin}/api/${action}`, { method: 'POST', headers: { cookie, origin }, body })).text)
  assert.match((await post('reboot', '{}')).message, /no action reboot/)
  assert.match((await post('trace', '{"name":7}')).message, /name is missing/)
  assert.match((await post('trace', `"${'x'.repeat(5000)}"`)).message, /too long/)
  assert.deepEqual(await post('trace', '{"name":"web","type":"A"}'), {
    ok: false,
    message: 'the cluster does not answer',
    hint: 'try again',
  })
})

test('the stream begins with everything there is, and goes on with what changes', async () => {
  await using it = await fixture()
  const { origin, cookie } = await enter(it.dashboard.url)
  const seen: [string, { status?: { roundTripMs: number } }][] = []
  await new Promise<void>((resolve, reject) => {
    http
      .get(`${origin}/events`, { headers: { cookie } }, (response) => {
        assert.match(String(response.headers['content-type']), /^text\/event-stream/)
        let rest = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          const events = (rest + chunk).split('\n\n')
          rest = events.pop()!
          for (const event of events) {
            const [, topic, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? []
            if (topic) seen.push([topic, JSON.parse(data)])
            it.engine.status = { ...connectedStatus(), roundTripMs: 77 }
          }
          if (seen.some(([, data]) => data.status?.roundTripMs === 77)) {
            response.destroy()
            resolve()
          }
        })
      })
      .on('error', reject)
  })
  assert.equal(new Set(seen.slice(0, 7).map(([topic]) => topic)).size, 7)
})

test('an engine that hangs is told, and found again', async () => {
  await using engine = new EngineDouble()
  await engine.start()
  const told: string[] = []
  const feed = new Feed({
    socket: engine.socket,
    held: async () => [],
    tell: (topic, message) => {
      if (topic === 'connection') told.push((message as Connection).engine)
    },
    watched: () => true,
    now: Date.now,
    patienceMs: 100,
  })
  feed.start()
  try {
    await until('up', () => told.at(-1) === 'up')
    engine.hangs = true
    await until('no answer', () => told.at(-1) === 'denied')
    engine.hangs = false
    await until('up again', () => told.at(-1) === 'up')
  } finally {
    feed.close()
  }
})

test('lists that an engine refuses do not hide that it is connected', async () => {
  await using engine = new EngineDouble()
  await engine.start()
  let asked = 0
  engine.beforeFlows = () => {
    asked++
    throw Object.assign(new Error('unknown operation flows'), { code: 'unknown-operation', hint: 'update' })
  }
  const told: string[] = []
  const feed = new Feed({
    socket: engine.socket,
    held: () => Promise.reject(new Error('the folder cannot be read')),
    tell: (topic, message) => {
      if (topic === 'connection') told.push((message as Connection).engine)
    },
    watched: () => true,
    now: Date.now,
  })
  feed.start()
  try {
    await until('three looks', () => asked >= 3)
    assert.deepEqual([...new Set(told)], ['up'])
  } finally {
    feed.close()
  }
})

test('a port that is taken is an error with the system’s code', async () => {
  await using it = await fixture()
  const port = Number(new URL(it.dashboard.url).port)
  await assert.rejects(serveDashboard({ port, socket: it.engine.socket, page, ...whose(it.engine) }), {
    code: 'EADDRINUSE',
  })
})
