// What is wrong with the kubeconfig or the cluster is told before sudo is asked for anything.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { KtLab } from './kt-fixture.ts'

let kt: KtLab
let folder: string
before(async () => {
  kt = await KtLab.start()
  folder = (await kt.machine.run(['mktemp', '-d'])).stdout.trim()
  await kt.machine.run([
    'sh',
    '-c',
    `printf '#!/bin/sh\ntouch ${folder}/asked\nexit 1\n' >${folder}/sudo; chmod +x ${folder}/sudo`,
  ])
})
after(() => kt?.[Symbol.asyncDispose]())

const up = (...args: string[]) => kt.machine.kt(['up', ...args], { env: { PATH: `${folder}:/usr/bin:/bin` } })
const asked = async () => (await kt.machine.run(['ls', folder])).stdout.includes('asked')

test('a kubeconfig that is not there, and an API server that does not answer, cost nobody a password', async () => {
  const missing = await up('--kubeconfig', '/nonexistent')
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /nonexistent/)
  await kt.lab.api.stop()
  const away = await up()
  await kt.lab.api.start()
  assert.equal(away.code, 1)
  assert.match(away.stderr, /API server/)
  assert.equal(await asked(), false)
})

test('when all is well sudo is asked', async () => {
  const refused = await up()
  assert.equal(refused.code, 1)
  assert.equal(await asked(), true)
})
