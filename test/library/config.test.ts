// The options of `connect`, as the parts below the library get them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { connect, KtError } from '../../src/index.ts'
import type { ConnectOptions } from '../../src/library/api.ts'
import { configOf } from '../../src/library/config.ts'

test('there is one port-forward at a time, or as many as `paths` says', () => {
  assert.equal(configOf({}).paths, 1)
  assert.equal(configOf({ paths: 1 }).paths, 1)
  assert.equal(configOf({ paths: 2 }).paths, 2)
})

for (const paths of [0, 3, 1.5, Number.NaN, '2', null, Object.create(null)])
  test(`paths cannot be ${inspect(paths)}`, async () => {
    // No kubeconfig is there, so whoever looked for the cluster first would fail with another code.
    const options = { paths, kubeconfig: '/nonexistent' } as unknown as ConnectOptions
    await assert.rejects(connect(options), (error) => {
      assert.ok(error instanceof KtError)
      assert.equal(error.code, 'usage')
      assert.equal(error.message, `the option \`paths\` is ${inspect(paths)}, which it cannot be`)
      assert.equal(error.hint, 'it is 1 or 2')
      return true
    })
  })
