// A file is about one thing, and short enough to be read at once.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const MOST = 300

test('no source file is over 300 lines', () => {
  const files = globSync('src/**/*.{ts,tsx,css,html}')
  assert.ok(files.length > 400)
  const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').length
  const long = files.filter((file) => linesOf(file) > MOST).map((file) => `${file}: ${linesOf(file)}`)
  assert.deepEqual(long, [])
})
