import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../support/until.ts'
import { KtLab } from './kt-fixture.ts'
import { topology } from './lab.ts'

let kt: KtLab
beforeEach(async () => {
  kt = await KtLab.start({
    resolvConf: '# written by hand\nsearch office.test\nnameserver 198.51.100.53\noptions timeout:2',
  })
})
afterEach(() => kt?.[Symbol.asyncDispose]())

const restored = () =>
  until(
    'restored',
    async () =>
      (await kt.assertRestored().then(
        () => true,
        () => false,
      )) as boolean,
    15_000,
  )

test('without sudo kt asks for the helper only; root alone is served too; nothing is held open', async () => {
  for (const options of [{ sudo: false }, { sudo: false, user: 'root' as const }]) {
    const up = await kt.up([], options)
    assert.notEqual((up as { heldOpen?: boolean }).heldOpen, true, 'the daemon holds the output of kt up')
    await kt.works()
    const down = await kt.machine.kt(['down'], options)
    assert.equal(down.code, 0, down.stderr)
    await kt.assertRestored()
    await kt.assertClusterClean()
    await kt.noProcesses()
  }
})

test('the engine dies: the helper undoes everything', async () => {
  await kt.up()
  process.kill(kt.processes().engine!, 'SIGKILL')
  await restored()
  await kt.noProcesses()
  await kt.assertRestored()
})

test('the helper dies: the engine ends, `kt status` tells what is left, and `kt down` undoes it, which asks sudo', async () => {
  await kt.up()
  process.kill(kt.processes().helper!, 'SIGKILL')
  await kt.noProcesses()
  const status = await kt.machine.kt(['status'])
  assert.equal(status.code, 3)
  assert.match(status.stderr, /its settings are still on this machine/)
  const down = await kt.machine.kt(['down'])
  assert.equal(down.code, 0, down.stderr)
  await kt.assertRestored()
})

test('SIGTERM to the engine is a `kt down`', async () => {
  await kt.up()
  process.kill(kt.processes().engine!, 'SIGTERM')
  await kt.noProcesses()
  await kt.assertRestored()
  await kt.assertClusterClean()
})

test('both are killed: where sudo refuses, `kt down` says so with a command that works; with sudo it undoes all', async () => {
  await kt.up()
  const { engine, helper } = kt.processes()
  process.kill(helper!, 'SIGKILL')
  process.kill(engine!, 'SIGKILL')
  await kt.noProcesses()
  assert.match(
    (await kt.machine.run(['cat', '/etc/resolv.conf'])).stdout,
    /198\.18\.|kt/,
    'kt’s resolv.conf is in place',
  )
  const folder = (await kt.machine.run(['mktemp', '-d'])).stdout.trim()
  await kt.machine.run(['sh', '-c', `printf '#!/bin/sh\nexit 1\n' >${folder}/sudo; chmod +x ${folder}/sudo`])
  const refused = await kt.machine.kt(['down'], { env: { PATH: `${folder}:/usr/bin:/bin` } })
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /needs root/)
  const hint = /run `(sudo [^`]+)`/.exec(refused.stderr)![1]
  const down = await kt.machine.run(['sh', '-c', hint])
  assert.equal(down.code, 0, down.stderr)
  await kt.assertRestored()
})

test('both are killed: the next `kt up` works, and its `kt down` leads back to the very beginning', async () => {
  await kt.up()
  const { engine, helper } = kt.processes()
  process.kill(helper!, 'SIGKILL')
  process.kill(engine!, 'SIGKILL')
  await kt.noProcesses()
  await kt.up()
  await kt.works()
  assert.equal((await kt.machine.kt(['down'], { sudo: true })).code, 0)
  await kt.assertRestored()
})

test('somebody rewrites resolv.conf while kt is up: theirs stays', async () => {
  await kt.up()
  await kt.machine.run(
    ['sh', '-c', 'echo nameserver 198.51.100.53 >/etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf'],
    { user: 'root' },
  )
  const down = await kt.machine.kt(['down'], { sudo: true })
  assert.equal(down.code, 0, down.stderr)
  assert.equal((await kt.machine.run(['cat', '/etc/resolv.conf'])).stdout, 'nameserver 198.51.100.53\n')
})

test('IPv6 switched off is a note, not an error; a range that is excluded stays out', async () => {
  await kt[Symbol.asyncDispose]()
  kt = await KtLab.start({ laptopIpv6: false })
  const { stderr } = await kt.up(['--exclude', `${topology.webPods[0].addresses[0]}/32`])
  assert.match(stderr, /IPv6/)
  await kt.works()
  const excluded = await kt.machine.probe('tcp', { host: topology.webPods[0].addresses[0], port: 8080, timeoutMs: 500 })
  assert.ok(excluded.error)
  const other = await kt.machine.probe('tcp', { host: topology.webPods[1].addresses[0], port: 8080 })
  assert.equal(other.error, undefined)
  await kt.down()
})
