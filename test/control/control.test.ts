import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type ControlFailure, connectControl } from '../../src/control/client.ts'
import { type ControlHandlers, serveControl } from '../../src/control/control-server.ts'
import { LineSplitter } from '../../src/control/lines.ts'
import { MAX_LINE, type Status } from '../../src/control/protocol.ts'
import type { DnsLogEntry, WatchEvent } from '../../src/control/views.ts'
import { watch } from '../../src/daemon/watch.ts'
import { until } from '../support/until.ts'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-control-'))
})
after(() => rmSync(folder, { recursive: true }))

const logged: string[] = []
const handlers: Partial<ControlHandlers> = {
  status: () => ({ state: 'connected' }) as Status,
  down: (_, progress) => {
    progress({ step: 'shadow', state: 'done', detail: 'removed', ms: 1 })
    return { notes: ['one'] }
  },
  same: () => {
    throw Object.assign(new Error('the context x does not exist'), { code: 'context-unknown', hint: 'there are a, b' })
  },
  services: () => ({ scope: 'cluster', services: [], notes: [] }),
  team: () => ({ connected: [], held: [] }),
  'dns.status': () => {
    throw new TypeError('a mistake')
  },
  'dns.query': ({ name, type }) => ({ name, type, rcode: 'NOERROR', records: [], rule: '', tries: [] }),
  'dns.log': () => ({ entries: [] }),
  'dns.trace': () => {
    throw new Error('not asked here')
  },
  capture: () => ({}),
  metrics: () => ({ text: '' }),
  watch: ({ dns }, tell, caller) =>
    watch({ status: () => ({ state: 'connected' }) as Status, dnsLog }, dns === true, tell, {
      ...caller,
      backlog: () => backlog,
    }),
  flows: () => ({ flows: [], total: 0 }),
}

let backlog = 0
const asked = [1, 2, 3].map((seq) => ({ seq, name: `n${seq}` }) as DnsLogEntry)
const dnsLog = (since: number) => asked.filter(({ seq }) => seq > since)

async function withServer(run: (path: string) => Promise<void>): Promise<void> {
  const path = join(folder, `${Math.floor(performance.now() * 1000)}.sock`)
  const server = await serveControl(path, handlers, (line) => logged.push(line))
  try {
    await run(path)
  } finally {
    server.close()
  }
}

test('requests are answered, progress comes before the result, errors keep code and hint', () =>
  withServer(async (path) => {
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const { client } = await connectControl(path)
    assert.ok(client)
    const steps: string[] = []
    assert.deepEqual(await client.request('down', {}, (p) => steps.push(p.detail)), { notes: ['one'] })
    assert.deepEqual(steps, ['removed'])
    assert.equal((await client.request('dns.query', { name: 'web', type: 'A' })).name, 'web')
    await assert.rejects(
      client.request('same', { env: {} }),
      (e: ControlFailure) => e.code === 'context-unknown' && e.hint === 'there are a, b',
    )
    client.close()
  }))

test('a mistake of ours reaches the user without a stack, and the log with one', () =>
  withServer(async (path) => {
    const { client } = await connectControl(path)
    await assert.rejects(
      client!.request('dns.status', {}),
      (e: ControlFailure) => e.code === 'internal' && !e.message.includes('\n'),
    )
    assert.match(logged.join('\n'), /TypeError: a mistake\n.*at /)
    client!.close()
  }))

test('what is no request is refused and harms nobody', () =>
  withServer(async (path) => {
    const raw = (text: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = net.connect(path, () => socket.end(text))
        let answer = ''
        socket.on('data', (d) => (answer += d))
        socket.on('close', () => resolve(answer))
        socket.on('error', reject)
      })
    assert.match(await raw('{"v":1,"id":1,"op":"reboot","args":{}}\n'), /unknown operation reboot/)
    assert.match(await raw('{"v":1,"id":1,"op":"toString","args":{}}\n'), /unknown operation toString/)
    assert.match(await raw('{"v":9,"id":1,"op":"dns.log","args":{}}\n'), /"code":"version"/)
    assert.match(await raw('{"v":9,"id":1,"op":"status","args":{}}\n'), /"ok":true/, 'a newer command asks it, too')
    const wrong = await raw('{"v":1,"id":1,"op":"dns.query","args":{"name":5}}\n')
    assert.match(wrong, /bad-request/)
    assert.match(wrong, /expected string, received number.* at name/)
    assert.match(await raw('nonsense\n'), /"ok":false/)
    const { client } = await connectControl(path)
    assert.equal((await client!.request('status', {})).state, 'connected')
    client!.close()
  }))

test('nobody there, a dead socket, and an engine that dies are three different things', async () => {
  assert.deepEqual(await connectControl(join(folder, 'none.sock')), { stale: false })
  const dead = join(folder, 'dead.sock')
  const server = net.createServer((socket) => socket.destroy()).listen(dead)
  await new Promise((resolve) => server.once('listening', resolve))
  const { client } = await connectControl(dead)
  await assert.rejects(client!.request('status', {}), (e: ControlFailure) => e.code === 'engine-lost')
  server.close()
})

test('what is no answer ends the connection, not the asker', async () => {
  for (const words of ['no JSON\n', 'x'.repeat(MAX_LINE + 2), '{"id":1,"ok":true\n']) {
    const path = join(folder, `${Math.floor(performance.now() * 1000)}.sock`)
    const server = net.createServer((socket) => socket.on('error', () => {}).once('data', () => socket.write(words)))
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const { client } = await connectControl(path)
    await assert.rejects(client!.request('status', {}), { code: 'engine-lost' })
    await assert.rejects(client!.request('status', {}), { code: 'engine-lost' })
    server.close()
  }
})

test('lines are cut across chunks and characters, and bounded', () => {
  const splitter = new LineSplitter()
  const bytes = Buffer.from('{"a":"ü"}\n\n{"b":1}\nrest')
  const lines = [...bytes].flatMap((byte) => splitter.push(Buffer.from([byte])))
  assert.deepEqual(lines, ['{"a":"ü"}', '{"b":1}'])
  assert.throws(() => splitter.push(Buffer.alloc(MAX_LINE + 1, 'x')), RangeError)
})

test('who watches is told each second, only of names asked from then on, and less while not reading', () =>
  withServer(async (path) => {
    const { client } = await connectControl(path)
    const events: WatchEvent[] = []
    client!.request('watch', { dns: true }, (event) => events.push(event)).catch(() => {})
    await until('the first event', () => events.length > 0)
    assert.deepEqual([events[0].state, events[0].dns.length], ['connected', 0])
    backlog = 1 << 20
    asked.push({ seq: 4, name: 'n4' } as DnsLogEntry)
    await new Promise((resolve) => setTimeout(resolve, 2500))
    assert.equal(events.length, 1)
    backlog = 0
    await until('the second event', () => events.length > 1)
    assert.deepEqual(
      events[1].dns.map(({ name }) => name),
      ['n4'],
    )
    client!.close()
  }))

test('an operation that goes on hears that its caller has gone', async () => {
  const gone = new AbortController()
  const ended = watch({ status: () => ({}) as Status, dnsLog }, false, () => {}, {
    signal: gone.signal,
    backlog: () => 0,
  })
  gone.abort()
  assert.deepEqual(await ended, {})
})

test('a client that stays is told when its engine has ended, however long ago', () =>
  withServer(async (path) => {
    const { client } = await connectControl(path)
    await client!.request('status', {})
    const ending = await serveControl(`${path}.ending`, handlers, () => {})
    const { client: late } = await connectControl(`${path}.ending`)
    ending.close()
    const lost = (e: ControlFailure) => e.code === 'engine-lost'
    // The first may be on its way when the socket closes, the second comes afterwards.
    for (let i = 0; i < 2; i++) await assert.rejects(late!.request('status', {}), lost)
    client!.close()
    await assert.rejects(client!.request('status', {}), lost)
  }))

test('a client that is closed leaves nobody waiting', () =>
  withServer(async (path) => {
    const hanging = await serveControl(`${path}.hanging`, { status: () => new Promise(() => {}) }, () => {})
    const { client } = await connectControl(`${path}.hanging`)
    const answer = client!.request('status', {})
    client!.close()
    await assert.rejects(answer, (e: ControlFailure) => e.code === 'engine-lost')
    hanging.close()
  }))
