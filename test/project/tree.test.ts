// What git holds: sources and documents, and nothing that was built, downloaded or copied here by mistake.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { test } from 'node:test'

/** Bytes. The largest file that is written by hand or made for the documents is far below. */
const LARGEST = 500_000

const git = (...args: string[]) => spawnSync('git', args, { encoding: 'utf8', maxBuffer: 1 << 26 })
const skip = git('rev-parse', '--is-inside-work-tree').status !== 0 && 'this is no git checkout'

test('git holds no file that it is told to ignore', { skip }, () => {
  assert.equal(git('ls-files', '--cached', '--ignored', '--exclude-standard').stdout, '')
})

test('git holds no large file', { skip }, () => {
  const files = git('ls-files', '-z').stdout.split('\0').filter(Boolean)
  assert.ok(files.length > 500)
  const large = files.filter((file) => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LARGEST)
  assert.deepEqual(large, [])
})
