// `--version-mark` of `kt mesh`: what it can be, and what it means.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { meshConfig, versionMark } from '../../src/cli/commands/mesh.ts'

const config = (mode: 'auto' | 'manual', mark?: string) =>
  meshConfig(mode, mark === undefined ? undefined : versionMark(mark))

it('auto: a header and its value, or a beginning of it', () => {
  assert.deepEqual(config('auto', 'abc'), { mode: 'auto', header: 'kt-version', value: 'abc', prefix: false })
  assert.deepEqual(config('auto', 'X-Team:blue'), { mode: 'auto', header: 'X-Team', value: 'blue', prefix: false })
  assert.deepEqual(config('auto', 'ann-*'), { mode: 'auto', header: 'kt-version', value: 'ann-', prefix: true })
  assert.deepEqual(config('auto', 'a:b:c').value, 'b:c')
  const random = config('auto')
  assert.match(random.value!, /^[a-z]{5}$/)
  assert.notEqual(random.value, config('auto').value)
})

it('manual: a label', () => {
  assert.deepEqual(config('manual'), { mode: 'manual', header: 'version', prefix: false })
  assert.deepEqual(config('manual', 'kt.dev/who:ann'), {
    mode: 'manual',
    header: 'kt.dev/who',
    value: 'ann',
    prefix: false,
  })
})

it('anything else is refused', () => {
  for (const mark of ['', ':a', 'a:', '*', 'a:*']) assert.throws(() => versionMark(mark), mark)
  for (const mark of ['a b:c', 'ä:c', 'a:ü', 'a:b\tc', 'host:web*', ':path:/', 'User-Agent:Mozilla*', 'te:trailers'])
    assert.throws(() => config('auto', mark), mark)
  for (const mark of ['a b', '-a', 'a*', 'a/b/c:d', `${'a'.repeat(64)}`])
    assert.throws(() => config('manual', mark), mark)
})
