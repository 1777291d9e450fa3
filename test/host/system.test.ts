// The effects for real that need no rights.
import assert from 'node:assert/strict'
import fs, { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemFiles } from '../../src/host/linux/effects.ts'

test('a link in the place of the folder is refused, and what it leads to keeps mode and owner', () => {
  const root = mkdtempSync(join(tmpdir(), 'kt-system-'))
  const [target, link, file] = ['target', 'link', 'file'].map((name) => join(root, name))
  mkdirSync(target, { mode: 0o755 })
  symlinkSync(target, link)
  writeFileSync(file, '', { mode: 0o644 })
  const [uid, gid] = [process.getuid!(), process.getgid!()]
  for (const path of [link, file]) assert.throws(() => systemFiles.folder(path, 0o700, uid, gid), path)
  assert.equal(statSync(target).mode & 0o777, 0o755)
  assert.equal(statSync(file).mode & 0o777, 0o644)
  systemFiles.folder(target, 0o700, uid, gid)
  assert.equal(statSync(target).mode & 0o777, 0o700)
  rmSync(root, { recursive: true })
})

test('a process that ends while its file in /proc is read is a process that is not there', (t) => {
  t.after(() => {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  })
  t.mock.method(fs, 'readSync', () => {
    throw Object.assign(new Error('ESRCH: no such process, read'), { code: 'ESRCH' })
  })
  syncBuiltinESMExports()
  assert.equal(systemFiles.read('/proc/self/stat'), undefined)
})
