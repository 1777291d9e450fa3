// The examples where there is no cluster: they skip, say why, and end by themselves.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '../..')
const run = async (...args: string[]) => {
  // A test inside a test runner would tell its results to that one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const options = { cwd: root, env: { ...env, KUBECONFIG: '/nonexistent', NO_COLOR: '1' }, timeout: 60_000 }
  return (await promisify(execFile)(process.execPath, args, options)).stdout
}

test('for node --test', async () => {
  const said = await run('--test', '--test-reporter=spec', 'examples/node-test.test.mjs')
  assert.match(said, /the shop .*# no cluster: KUBECONFIG names no file/)
})

test('for vitest', async () => {
  const said = await run('node_modules/vitest/vitest.mjs', 'run', '--reporter=verbose', 'examples/vitest.test.ts')
  assert.match(said, /no cluster: KUBECONFIG names no file[\s\S]* skipped/)
})
