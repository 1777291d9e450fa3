// A hint is a command that works as it is printed: by name where PATH leads to this kt, else by its path.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { asTyped } from '../../src/cli/self.ts'

let root: string
let program: string
before(() => {
  root = mkdtempSync(join(tmpdir(), 'kt self-'))
  for (const folder of ['checkout', 'linked', 'other']) mkdirSync(join(root, folder))
  program = join(root, 'checkout/kt')
  writeFileSync(program, '')
  writeFileSync(join(root, 'other/kt'), 'somebody else')
  symlinkSync(program, join(root, 'linked/kt'))
})
after(() => rmSync(root, { recursive: true }))

const path = (...folders: string[]) => folders.map((folder) => join(root, folder)).join(':')

test('by name where PATH has it, also by a link', () => {
  const text = '`kt down` ends it; `kt up -n shop` connects; kt itself and `kubectl` stay'
  assert.equal(asTyped(text, { program, path: path('nothing', 'linked') }), text)
})

test('by its path, quoted, where PATH has none or another kt comes first', () => {
  const expected = `\`'${program}' down\``
  assert.equal(asTyped('`kt down`', { program, path: path('nothing') }), expected)
  assert.equal(asTyped('`kt down`', { program, path: path('other', 'linked') }), expected)
  assert.equal(asTyped('`kt down`', { program, path: '' }), expected)
  assert.equal(asTyped('`kt`', { program: '/opt/kt/bin/kt', path: '' }), '`/opt/kt/bin/kt`')
})

test('with sudo by its path, since sudo has a PATH of its own', () => {
  assert.equal(
    asTyped('`sudo kt down`', { program: '/opt/kt/bin/kt', path: '/opt/kt/bin' }),
    '`sudo /opt/kt/bin/kt down`',
  )
})

test('as a plugin of kubectl by that name, where kubectl and the plugin are in PATH', () => {
  const plugin = join(root, 'linked/kubectl-cluster_vpn')
  symlinkSync(program, plugin)
  const of = { program, argv0: plugin }
  assert.equal(asTyped('`kt down`', { ...of, path: path('linked') }), '`kt down`', 'without kubectl')
  writeFileSync(join(root, 'other/kubectl'), '')
  const both = path('linked', 'other')
  assert.equal(asTyped('`kt down` ends it', { ...of, path: both }), '`kubectl cluster-vpn down` ends it')
  assert.equal(asTyped('`sudo kt down`', { ...of, path: both }), `\`sudo '${program}' down\``)
  assert.equal(asTyped('`kt down`', { program, argv0: 'kt', path: both }), '`kt down`', 'not when it is called kt')
  const elsewhere = { program: join(root, 'other/kt'), argv0: plugin, path: both }
  assert.equal(asTyped('`kt down`', elsewhere), `\`'${elsewhere.program}' down\``, 'not when the plugin is another kt')
})
