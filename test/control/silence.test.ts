// The other end of the control socket is stopped, hangs, or is no kt: no request waits for ever.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, mock, test } from 'node:test'
import { type ControlClient, connectControl } from '../../src/control/client.ts'
import { serveControl } from '../../src/control/control-server.ts'
import { VERSION } from '../../src/control/version.ts'
import { until } from '../support/until.ts'

let folder: string
let path: string
let lines: string[]
let socket: net.Socket | undefined
let server: net.Server
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-silence-'))
})
after(() => rmSync(folder, { recursive: true }))
beforeEach(() => {
  lines = []
  path = join(folder, `${lines.length}-${Math.floor(performance.now() * 1000)}.sock`)
})

/** An engine that says only what the test says. */
async function connected(run: (client: ControlClient, tell: (text: string) => void) => Promise<void>) {
  server = net.createServer((one) => {
    socket = one
    one.on('error', () => {})
    one.on('data', (chunk) => lines.push(...chunk.toString().trim().split('\n')))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const { client } = await connectControl(path)
  assert.ok(client)
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    await run(client, (text) => socket!.write(text))
  } finally {
    mock.timers.reset()
    client.close()
    socket?.destroy()
    server.close()
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const asked = async (op: string, times: number) => {
  while (lines.filter((line) => JSON.parse(line).op === op).length < times) await turn()
}

test('an engine that is silent is asked whether it is there, and given up', () =>
  connected(async (client) => {
    const status = client.request('status', {})
    const over = assert.rejects(status, { code: 'no-answer', hint: /kt down/ })
    await asked('status', 1)
    mock.timers.tick(3_000)
    await asked('ping', 1)
    mock.timers.tick(3_000)
    await over
    await assert.rejects(client.request('status', {}), { code: 'no-answer' }, 'nor is it asked again')
  }))

test('an engine that says it is there may take as long as it takes', () =>
  connected(async (client, tell) => {
    let done = false
    const down = client.request('down', {}).then((result) => {
      done = true
      return result
    })
    await asked('down', 1)
    for (let round = 1; round <= 5; round++) {
      mock.timers.tick(3_000)
      await asked('ping', round)
      const { id } = JSON.parse(lines.at(-1)!)
      // An engine of an older version does not know the question, which is an answer too.
      tell(`${JSON.stringify({ id, ok: false, error: { code: 'unknown-operation', message: '', hint: '' } })}\n`)
      // Its answer has arrived when the next silence is asked about, so the loop itself shows that it counted.
      await turn()
      await turn()
    }
    assert.equal(done, false)
    tell(`${JSON.stringify({ id: JSON.parse(lines[0]).id, ok: true, result: { notes: [] } })}\n`)
    assert.deepEqual(await down, { notes: [] })
  }))

test('what is no answer of kt ends the request, not the process', () =>
  connected(async (client, tell) => {
    const status = client.request('status', {})
    await asked('status', 1)
    tell('HTTP/1.1 400 Bad Request\r\n\r\n')
    await assert.rejects(status, { code: 'engine-lost' })
  }))

test('a server answers a ping whatever it is busy with', async () => {
  const control = await serveControl(path, { down: () => new Promise(() => {}) }, () => {})
  const raw = net.connect(path)
  let text = ''
  raw.on('data', (chunk) => {
    text += chunk
  })
  try {
    raw.write(`${JSON.stringify({ v: 1, id: 1, op: 'down', args: {} })}\n`)
    raw.write(`${JSON.stringify({ v: 1, id: 2, op: 'ping', args: {} })}\n`)
    await until('the pong', () => text.includes('"id":2'))
    assert.deepEqual(JSON.parse(text), { id: 2, ok: true, result: { version: VERSION } })
  } finally {
    raw.destroy()
    control.close()
  }
})
