// What is remembered of front doors, on disk.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { frontDoorNotes } from '../../src/daemon/front-door-notes.ts'

const DAY = 24 * 3_600_000
let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-doors-'))
  file = join(folder, 'kt/front-doors.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('another process finds what was noted, for a week', () => {
  frontDoorNotes(file, () => 0).note('https://a', { way: 'websocket', lifetimeMs: 60_000 })
  frontDoorNotes(file, () => 0).note('https://b', { way: 'spdy' })
  assert.deepEqual(frontDoorNotes(file, () => 6 * DAY).recall('https://a'), { way: 'websocket', lifetimeMs: 60_000 })
  assert.deepEqual(frontDoorNotes(file, () => 8 * DAY).recall('https://a'), {})
  assert.deepEqual(frontDoorNotes(file, () => 0).recall('https://c'), {})
  assert.deepEqual(frontDoorNotes(file, () => 0).recall('constructor'), {})
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(join(folder, 'kt')), ['front-doors.json'])
})

test('what was noted last is kept of very many', () => {
  const notes = frontDoorNotes(file, () => 0)
  for (let i = 0; i < 210; i++) notes.note(`https://${i}`, { way: 'websocket' })
  assert.deepEqual(notes.recall('https://9'), {})
  assert.equal(notes.recall('https://209').way, 'websocket')
  assert.equal(Object.keys(JSON.parse(readFileSync(file, 'utf8'))).length, 200)
})

test('a file that is broken, or cannot be written, is as good as none', () => {
  const notes = frontDoorNotes(file, () => 0)
  notes.note('https://a', { way: 'websocket' })
  for (const text of ['', 'null', '[]', '{"https://a":{"way":"smoke","since":"1970-01-01T00:00:00Z"}}']) {
    writeFileSync(file, text)
    assert.deepEqual(notes.recall('https://a'), {})
  }
  notes.note('https://a', { way: 'spdy' })
  assert.equal(notes.recall('https://a').way, 'spdy')
  const nowhere = frontDoorNotes('/dev/null/kt/front-doors.json', () => 0)
  nowhere.note('https://a', { way: 'spdy' })
  assert.deepEqual(nowhere.recall('https://a'), {})
})
