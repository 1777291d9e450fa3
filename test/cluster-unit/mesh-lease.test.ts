// Each version of a meshed Service has a lease whose name Kubernetes accepts and no other version shares.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { versionLease } from '../../src/cluster/back/mesh.ts'

it('a plain version is in the name as it is', () => {
  assert.equal(versionLease('web', 'abcde', false), 'kt-mesh-web-abcde')
})

it('names are DNS labels, and tell versions apart', () => {
  const value = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme-ascii' })
  fc.assert(
    fc.property(value, fc.boolean(), (text, prefix) =>
      assert.match(versionLease('web', text, prefix), /^kt-mesh-web-[a-z0-9]([a-z0-9-]*[a-z0-9])?$/),
    ),
  )
  const names = ['a', 'A', 'a b', 'a-b', 'a.b', 'ä', '!', '-a', 'a-'].flatMap((text) => [
    versionLease('web', text, false),
    versionLease('web', text, true),
  ])
  assert.equal(new Set(names).size, names.length)
})
