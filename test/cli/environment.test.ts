// What the processes that read the kubeconfig get of the caller, and what of a running kt up counts.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Caller } from '../../src/cli/caller.ts'
import { callersEnvironment } from '../../src/cli/environment.ts'

const ann: Caller = { uid: 1500, gid: 1500, name: 'ann', home: '/home/ann', root: false, sudo: false }

test('without sudo: all of it, and files named there as seen from here', () => {
  const env = {
    PATH: '/opt/gcloud/bin:/bin',
    AWS_PROFILE: 'dev',
    KUBECONFIG: 'a:/b::c',
    NODE_CHANNEL_FD: '3',
    HOME: '/x',
  }
  assert.deepEqual(callersEnvironment(env, ann), {
    PATH: '/opt/gcloud/bin:/bin',
    AWS_PROFILE: 'dev',
    KUBECONFIG: `${process.cwd()}/a:/b:${process.cwd()}/c`,
    HOME: '/x',
    PWD: process.cwd(),
  })
})

test('with sudo: what sudo left, and a login of that person instead of what is root’s', () => {
  const env = {
    PATH: '/usr/sbin:/usr/bin',
    HOME: '/root',
    USER: 'root',
    SHELL: '/bin/zsh',
    SUDO_USER: 'ann',
    HTTPS_PROXY: 'p',
  }
  const result = callersEnvironment(env, { ...ann, root: true, sudo: true })
  assert.deepEqual([result['HOME'], result['USER'], result['LOGNAME']], ['/home/ann', 'ann', 'ann'])
  assert.deepEqual([result['SUDO_USER'], result['HTTPS_PROXY'], result['SHELL']], ['ann', 'p', undefined])
  const path = result['PATH'].split(':')
  assert.deepEqual(path.slice(0, 2), ['/home/ann/.local/bin', '/home/ann/bin'])
  assert.ok(path.includes('/usr/sbin'))
  assert.equal(new Set(path).size, path.length)
})

const kt = (env: object, ...args: string[]) =>
  spawnSync('bin/kt', args, { encoding: 'utf8', env: { ...process.env, SUDO_UID: undefined, NO_COLOR: '1', ...env } })

test('global options stand before the command as well as behind it, where they come first', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-globals-'))
  try {
    const file = join(folder, 'config')
    writeFileSync(file, '{"contexts": [{"name": "x", "context": {}}], "current-context": "x"}')
    const words = (...args: string[]) => kt({ KUBECONFIG: '/no/such' }, ...args).stderr
    assert.match(words('--kubeconfig', file, 'recover', 'web'), /context "x" in .*config: it names no cluster/)
    assert.match(words('--kubeconfig', file, '--context', 'y', 'recover', 'web'), /no context "y"/)
    assert.match(words('--context', 'y', 'recover', 'web', '--kubeconfig', file, '--context', 'z'), /no context "z"/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
