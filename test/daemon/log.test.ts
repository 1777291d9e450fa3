// A log that cannot be written is told, and nothing else happens.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLog } from '../../src/daemon/log.ts'
import { until } from '../support/until.ts'

test('a state folder that cannot be made: there is no log, with the reason, and lines go nowhere', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-log-'))
  writeFileSync(join(folder, 'file'), '')
  const log = openLog(join(folder, 'file/kt/kt.log'), true)
  assert.match(log.trouble()!, /^there is no log: .*file\/kt/)
  log('lost')
  log.debug('lost')
  rmSync(folder, { recursive: true })
})

test('a full disk: lines go nowhere, with the reason', async () => {
  const log = openLog('/dev/full', false)
  assert.equal(log.trouble(), undefined)
  log('lost')
  await until('trouble', () => log.trouble() !== undefined)
  assert.match(log.trouble()!, /no space left/)
  log('lost too')
})

test('a log that can be written has no trouble', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-log-'))
  const path = join(folder, 'kt/kt.log')
  const log = openLog(path, false)
  log('one')
  await until('written', () => readFileSync(path, 'utf8').endsWith(' one\n'))
  assert.equal(log.trouble(), undefined)
  rmSync(folder, { recursive: true })
})
