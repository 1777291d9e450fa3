import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Feed } from '../../src/dashboard/feed.ts'
import { Guard } from '../../src/dashboard/guard.ts'
import type { Connection } from '../../src/dashboard/model.ts'
import { Opener } from '../../src/dashboard/opener.ts'
import { type Dashboard, serveDashboard } from '../../src/dashboard/page-server.ts'
import { until } from '../support/until.ts'
import { connectedStatus, EngineDouble } from './double.ts'
import { fixture, whose } from './fixture.ts'

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

/** What the page does with a printed address. */
async function enter(dashboard: Dashboard): Promise<{ origin: string; authorization: string }> {
  const { origin, hash } = new URL(dashboard.address())
  const { text } = await exchange(origin, hash.slice('#token='.length))
  return { origin, authorization: `Bearer ${JSON.parse(text).session}` }
}

function exchange(origin: string, token: unknown): Promise<Answer> {
  return ask(`${origin}/api/enter`, { method: 'POST', headers: { origin }, body: JSON.stringify({ token }) })
}

test('it listens on loopback only, and the token in the address is exchanged for a session once', async () => {
  await using it = await fixture()
  const { hostname, origin, hash } = new URL(it.dashboard.address())
  assert.equal(hostname, '127.0.0.1')
  const token = hash.slice('#token='.length)
  const first = await exchange(origin, token)
  assert.equal(first.status, 200)
  assert.equal(first.headers['set-cookie'], undefined)
  assert.notEqual(JSON.parse(first.text).session, token)
  const second = await exchange(origin, token)
  assert.equal(second.status, 401)
  assert.match(second.text, /used before, or is older than a minute: run `kt dashboard`/)
  for (const other of ['', 'guess', null, 7, {}]) assert.equal((await exchange(origin, other)).status, 401)
})

test('a token is valid for a minute, and the session is another secret', () => {
  let now = 1_000
  const guard = new Guard(1, () => now)
  const [late, early] = [guard.issue(), guard.issue()]
  const session = guard.exchange(early)!
  assert.equal(guard.refusesSession({ authorization: `Bearer ${session}` }), undefined)
  now += 60_001
  assert.equal(guard.exchange(late), undefined)
  for (const token of [early, late])
    assert.equal(guard.refusesSession({ authorization: `Bearer ${token}` })?.status, 401)
})

test('without the session nothing is told, and a cookie is no session', async () => {
  await using it = await fixture()
  const { origin, authorization } = await enter(it.dashboard)
  const wrong = `${authorization.slice(0, -1)}${authorization.endsWith('A') ? 'B' : 'A'}`
  const cookie = `kt-dashboard-${new URL(origin).port}=${authorization.slice(7)}; kt-session=${authorization.slice(7)}`
  for (const headers of [{}, { authorization: wrong }, { cookie }] as http.OutgoingHttpHeaders[]) {
    const { status, text } = await ask(`${origin}/events`, { headers })
    assert.equal(status, 401)
    assert.match(text, /run `kt dashboard` and open what it prints/)
    const post = await ask(`${origin}/api/disconnect`, { method: 'POST', headers: { origin, ...headers }, body: '{}' })
    assert.equal(post.status, 401)
  }
  assert.deepEqual(it.engine.asked, [])
})

test('the file that the browser is given can be read by its owner alone, and the address is in no argument', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-opener-'))
  const asked = join(folder, 'asked')
  writeFileSync(join(folder, 'xdg-open'), `#!/bin/sh\necho "$@" >'${asked}.new' && mv '${asked}.new' '${asked}'\n`, {
    mode: 0o755,
  })
  const opener = new Opener({ DISPLAY: ':0', XDG_RUNTIME_DIR: folder, PATH: `${folder}:${process.env['PATH']}` })
  try {
    opener.open('http://127.0.0.1:1/#token=secret')
    const file = (await until('xdg-open', () => existsSync(asked) && readFileSync(asked, 'utf8').trim())) as string
    assert.doesNotMatch(file, /secret/)
    assert.match(readFileSync(file, 'utf8'), /url=http:\/\/127\.0\.0\.1:1\/#token=secret"/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(dirname(file)).mode & 0o777, 0o700)
    opener.close()
    assert.equal(existsSync(file), false)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('another name for this address is refused: DNS rebinding', async () => {
  await using it = await fixture()
  const { origin } = await enter(it.dashboard)
  const { port } = new URL(origin)
  for (const host of [`evil.example:${port}`, '127.0.0.1', `127.0.0.1.evil.example:${port}`])
    assert.equal((await ask(`${origin}/`, { headers: { host } })).status, 400, host)
  assert.equal((await ask(`${origin}/`, { headers: { host: `localhost:${port}` } })).status, 200)
})

test('only the page itself may send, not one of another origin, nor one without', async () => {
  await using it = await fixture()
  const { origin, authorization } = await enter(it.dashboard)
  const down = (headers: Record<string, string>) =>
    ask(`${origin}/api/disconnect`, { method: 'POST', headers: { authorization, ...headers }, body: '{}' })
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
  const { origin, authorization } = await enter(it.dashboard)
  for (const path of ['/', '/page.js', '/page.css', '/icon.svg', '/nothing']) {
    const { headers } = await ask(`${origin}${path}`, { headers: { authorization } })
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /default-src 'none'; script-src 'self'/, path)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe/)
    assert.equal(headers['cache-control'], 'no-store')
  }
})

test('a request that is none, or too long, is answered in words', async () => {
  await using it = await fixture()
  const { origin, authorization } = await enter(it.dashboard)
  const post = async (action: string, body: string) =>
    JSON.parse(
      (await ask(`${origin}/api/${action}`, { method: 'POST', headers: { authorization, origin }, body })).text,
    )
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
  const { origin, authorization } = await enter(it.dashboard)
  const seen: [string, { status?: { roundTripMs: number } }][] = []
  await new Promise<void>((resolve, reject) => {
    http
      .get(`${origin}/events`, { headers: { authorization } }, (response) => {
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
  assert.equal(new Set(seen.slice(0, 9).map(([topic]) => topic)).size, 9)
})

test('an engine that hangs is told, and found again', async () => {
  await using engine = new EngineDouble()
  await engine.start()
  const told: string[] = []
  const feed = new Feed({
    socket: engine.socket,
    look: async () => ({ held: [], entries: [], unread: 0, notes: [], bodies: false }),
    forwards: () => [],
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
    look: () => Promise.reject(new Error('the folder cannot be read')),
    forwards: () => [],
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
  const port = Number(new URL(it.dashboard.address()).port)
  await assert.rejects(
    serveDashboard({ port, socket: it.engine.socket, kt: { program: 'false', flags: [] }, ...whose(it.engine) }),
    {
      code: 'EADDRINUSE',
    },
  )
})
