import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseEnv } from 'node:util'
import fc from 'fast-check'
import { formatEnvironment } from '../../src/cli/env-formats.ts'
import { writePrivately } from '../../src/cli/private-file.ts'

const value = fc.string({
  unit: fc.constantFrom(
    'a',
    'B',
    '1',
    ' ',
    '\t',
    '\n',
    '\r',
    "'",
    '"',
    '`',
    '\\',
    '$',
    '{',
    '}',
    '#',
    '=',
    '!',
    '€',
    '\x1b',
    '%',
    'n',
  ),
})
const environment = fc
  .dictionary(fc.constantFrom('A', 'B_2', 'c', 'PATH_X'), value, { maxKeys: 4, noNullPrototype: true })
  .map((object) => Object.entries(object).map(([name, text]) => ({ name, value: text })))

test('what dotenv has is read back as it was', () => {
  fc.assert(
    fc.property(environment, (variables) => {
      const { text, leftOut } = formatEnvironment(variables, 'dotenv')
      const expected = variables.filter(({ name }) => !leftOut.includes(name))
      assert.deepEqual({ ...parseEnv(text) }, Object.fromEntries(expected.map(({ name, value }) => [name, value])))
    }),
  )
})

test('dotenv holds what passwords, URLs and certificates are made of', () => {
  for (const text of [
    'p$a`s"s#w!o rd',
    'postgres://a:b@c:5/d?e=f&g',
    '-----BEGIN-----\nabc\n-----END-----\n',
    "it's",
    '{"a": "b\\n"}',
    '',
  ])
    assert.deepEqual(formatEnvironment([{ name: 'A', value: text }], 'dotenv').leftOut, [], text)
})

test('what shell has is what a shell then has, and nothing else is run', () => {
  fc.assert(
    fc.property(environment, (variables) => {
      const { text, leftOut } = formatEnvironment(variables, 'shell')
      assert.deepEqual(leftOut, [])
      const names = variables.map(({ name }) => name)
      const script = `eval "$1"; for name in ${names.join(' ')}; do eval "printf '%s\\0' \\"\\$$name\\""; done`
      const said = execFileSync('sh', ['-c', script, 'sh', text], { encoding: 'utf8', env: {} })
      assert.deepEqual(
        said.split('\0').slice(0, -1),
        variables.map(({ value }) => value),
      )
    }),
    { numRuns: 30 },
  )
})

test('docker reads no file that has a line of 64 KiB, so such a variable is left out', () => {
  const leftOut = (value: string) => formatEnvironment([{ name: 'A', value }], 'docker').leftOut
  assert.deepEqual(leftOut('x'.repeat(65_533)), [])
  assert.deepEqual(leftOut('x'.repeat(65_534)), ['A'])
  assert.deepEqual(leftOut('€'.repeat(21_845)), ['A'])
})

test('what docker has is the rest of one line', () => {
  fc.assert(
    fc.property(environment, (variables) => {
      const { text, leftOut } = formatEnvironment(variables, 'docker')
      // As docker's file reader: lines end with \n or \r\n.
      const read = text
        .split('\n')
        .slice(0, -1)
        .map((line) => line.replace(/\r$/, ''))
      const expected = variables
        .filter(({ name }) => !leftOut.includes(name))
        .map(({ name, value }) => `${name}=${value}`)
      assert.deepEqual(read, expected)
      assert.deepEqual(
        leftOut,
        variables.filter(({ value }) => /\n|\r$/.test(value)).map(({ name }) => name),
      )
    }),
  )
})

test('names that a format cannot hold are named', () => {
  const variables = [
    { name: 'a b', value: '1' },
    { name: 'x.y', value: '2' },
    { name: '1', value: '3' },
  ]
  assert.deepEqual(formatEnvironment(variables, 'shell').leftOut, ['a b', 'x.y', '1'])
  assert.deepEqual(formatEnvironment(variables, 'dotenv').leftOut, ['a b', '1'])
  assert.deepEqual(formatEnvironment(variables, 'docker').leftOut, ['a b'])
  assert.deepEqual(JSON.parse(formatEnvironment(variables, 'json').text), { 'a b': '1', 'x.y': '2', '1': '3' })
})

test("the file is its owner's alone, whatever was there", () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-env-'))
  try {
    const file = join(folder, 'env')
    writeFileSync(file, 'before', { mode: 0o644 })
    writePrivately(file, Buffer.from('after'))
    assert.equal(readFileSync(file, 'utf8'), 'after')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.throws(() => writePrivately(join(folder, 'none/env'), Buffer.from('x')), /cannot be written/)
    symlinkSync('/dev/null', join(folder, 'null'))
    writePrivately(join(folder, 'null'), Buffer.from('x'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
