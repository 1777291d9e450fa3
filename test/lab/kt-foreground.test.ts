// `kt up --foreground` stays as long as kt does, whoever ends it, and its exit code says how it ended.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../support/until.ts'
import { KtLab } from './kt-fixture.ts'

let kt: KtLab
before(async () => {
  kt = await KtLab.start()
})
after(() => kt?.[Symbol.asyncDispose]())

const ways: Record<string, () => unknown> = {
  'Ctrl-C': () => process.kill(kt.foreground()!, 'SIGINT'),
  SIGTERM: () => process.kill(kt.foreground()!, 'SIGTERM'),
  '`kt down` elsewhere': () => kt.machine.kt(['down']),
}
for (const sudo of [false, true])
  for (const [name, end] of Object.entries(ways))
    test(`${name} ends it ${sudo ? 'under sudo' : 'as a user'} with exit code 0, and all is as before`, async () => {
      const ended = kt.machine.kt(['up', '--foreground'], { sudo })
      await until('connected', async () => (await kt.status()).state === 'connected')
      await kt.works()
      assert.ok(kt.foreground(), 'it stays')
      await end()
      const { code, stderr } = await ended
      assert.equal(code, 0, stderr)
      assert.match(stderr, /disconnected\n$/)
      await kt.assertRestored()
      await kt.noProcesses()
    })

test('the engine is killed: the exit code is 1, and the machine as before', async () => {
  const ended = kt.machine.kt(['up', '--foreground'])
  await until('connected', async () => (await kt.status()).state === 'connected')
  process.kill(kt.processes().engine!, 'SIGKILL')
  const { code, stderr } = await ended
  assert.equal(code, 1)
  assert.match(stderr, /kt ended by itself \(it was ended by SIGKILL\)/)
  await kt.assertRestored()
})

test('it is killed itself: kt ends with it', async () => {
  const ended = kt.machine.kt(['up', '--foreground'])
  await until('connected', async () => (await kt.status()).state === 'connected')
  process.kill(kt.foreground()!, 'SIGKILL')
  await ended
  await kt.noProcesses()
  await kt.assertRestored()
})
