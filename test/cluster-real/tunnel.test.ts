// The tunnel without TUN and stack, from inside a laptop of the real cluster.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { realCluster } from '../support/machine.ts'

const cluster = realCluster()

test('the tunnel to a shadow of either kind', {
  skip: 'missing' in cluster ? cluster.missing : false,
  timeout: 300_000,
}, () => {
  const { program } = cluster as { program: string }
  const scenarios = ['--test', '--test-reporter=tap', 'test/tunnel/cluster-scenarios.ts']
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(program, ['laptop', '--as', 'tun', process.execPath, ...scenarios], {
    encoding: 'utf8',
    env: { ...env, KT_TEST_TUNNEL: '1', KUBECONFIG: '' },
  })
  // Only what failed: the report of CI is cut after some lines.
  const failed = stdout.match(/^ *not ok[\s\S]*?\n *\.\.\.$/gm)?.join('\n')
  assert.equal(status, 0, failed ?? `${stdout.slice(-2000)}\n${stderr.slice(-1000)}`)
  assert.match(stdout, /# pass [1-9]/)
})
