// The library's declarations and the page that is made of them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { apiPage, declarations } from '../../scripts/declarations.ts'
import * as library from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const types = declarations()

test('the page of the interface is current', () => {
  const page = readFileSync(join(root, 'docs/reference/api.md'), 'utf8')
  assert.ok(page === apiPage(types), 'docs/reference/api.md is old: node scripts/declarations.ts writes it')
})

test('what the declarations promise is exported, and nothing else', () => {
  const promised = [...types.matchAll(/^export (?:declare )?(?:class|const) (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(Object.keys(library).sort(), promised.sort())
})

test('the declarations need nothing of kt', () => {
  const imported = [...types.matchAll(/from '([^']+)'/g)].map(([, name]) => name)
  assert.deepEqual(imported, ['node:dns', 'node:net', 'node:stream', 'undici-types'])
})

test('the package names its entry and its types', () => {
  const { exports, types: file } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.deepEqual(exports['.'], { types: './dist/index.d.ts', default: './dist/index.js' })
  assert.equal(file, './dist/index.d.ts')
})
