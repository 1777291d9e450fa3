import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeFolders } from '../../src/base/make-folders.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-folders-'))
after(() => rmSync(folder, { recursive: true }))

test('missing folders are made with their mode, and one that is there is taken', () => {
  const path = join(folder, 'a/b/c')
  makeFolders(path, 0o700)
  makeFolders(path, 0o700)
  for (const one of ['a', 'a/b', 'a/b/c']) assert.equal(statSync(join(folder, one)).mode & 0o777, 0o700)
})

test('where no folder can be made there is an error, and no wait', () => {
  assert.throws(() => makeFolders('/proc/x', 0o700), { code: 'ENOENT' })
  assert.throws(() => makeFolders('/proc/x/y', 0o700), { code: 'ENOENT' })
  writeFileSync(join(folder, 'file'), '')
  assert.throws(() => makeFolders(join(folder, 'file'), 0o700), { code: 'EEXIST' })
  assert.throws(() => makeFolders(join(folder, 'file/x'), 0o700), { code: 'ENOTDIR' })
})
