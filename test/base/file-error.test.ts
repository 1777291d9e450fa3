import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileErrorText } from '../../src/base/file-error.ts'

test('an error of the system is told in its words, without the call and the path', () => {
  assert.throws(
    () => readFileSync('/nosuch/x.kt-1'),
    (error) => fileErrorText(error) === 'no such file or directory',
  )
  assert.equal(fileErrorText(new Error('something else')), 'something else')
})
