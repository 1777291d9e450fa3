import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { serveControl } from '../../src/control/control-server.ts'
import { askHolders, heldHere, newHolderSocket, removeStale } from '../../src/control/holders.ts'
import type { Held } from '../../src/control/protocol.ts'

const uid = process.getuid!()
let runtime: string
let env: NodeJS.ProcessEnv
before(() => {
  runtime = mkdtempSync(join(tmpdir(), 'kt-runtime-'))
  env = { XDG_RUNTIME_DIR: runtime }
})
after(() => rmSync(runtime, { recursive: true }))

/** Those of other tests and people on this machine are not ours to count. */
const mine = async () => (await heldHere(uid, env)).filter(({ target }) => target === 'web-of-this-test')

test("a holder's socket lies in a folder of that user alone, and is found there", async () => {
  const path = newHolderSocket(env)
  assert.equal(dirname(path), join(runtime, 'kt'))
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  const held = { kind: 'exchange', target: 'web-of-this-test' } as Held
  const server = await serveControl(path, { held: () => held }, () => {})
  assert.deepEqual(await mine(), [held])
  server.close()
  assert.deepEqual(await mine(), [])
})

test('where the run-time folder takes no folder, /tmp does', () => {
  // Ours, and yet nothing can be made there.
  const path = newHolderSocket({ XDG_RUNTIME_DIR: `/proc/${process.pid}` })
  assert.match(dirname(path), /^\/(run\/user|tmp)\//)
})

test('a folder that others may write to is neither used nor read', async () => {
  const folder = join(runtime, 'kt')
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o777)
  assert.throws(
    () => newHolderSocket(env),
    (error: Error & { hint?: string }) => /not a folder of yours alone/.test(error.message) && !!error.hint,
  )
  chmodSync(folder, 0o700)
})

test("sockets of killed holders are told as stale; another network's holders are not this one's", async () => {
  const folder = dirname(newHolderSocket(env))
  const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/net'))![0]
  const elsewhere = join(folder, `${Number(namespace) + 1}-1.sock`)
  const server = await serveControl(elsewhere, { held: () => ({ target: 'web-of-this-test' }) as Held }, () => {})
  assert.deepEqual(await mine(), [])
  server.close()

  // A file that nobody listens on, as a killed process leaves it.
  const dead = join(folder, `${namespace}-2.sock`)
  writeFileSync(dead, '')
  const { stale } = await askHolders(uid, env)
  assert.ok(stale.includes(dead))
  removeStale(dead)
  assert.equal(existsSync(dead), false)
})

test('a holder that is there and does not answer is named by its process', async () => {
  const path = newHolderSocket(env)
  const server = net.createServer((socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  assert.ok((await askHolders(uid, env)).silent.includes(process.pid))
  server.close()
})
