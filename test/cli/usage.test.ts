import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

/** Runs the command line as a user does, with nothing running. */
function kt(...args: string[]) {
  const { status, stdout, stderr } = spawnSync('bin/kt', args, {
    encoding: 'utf8',
    env: { ...process.env, SUDO_UID: undefined, NO_COLOR: '1' },
  })
  return { status, stdout, stderr }
}
const engineRuns = kt('status').status !== 3

test('wrong usage is exit code 2 and two lines', () => {
  for (const args of [
    ['frobnicate'],
    ['up', '--dns', 'maybe'],
    ['up', '--include', '10.0.0.0/33'],
    ['up', '--exclude', 'lan'],
    ['up', '--label', 'x'],
    ['up', '--ready-timeout', '0'],
    ['up', '--shadow', 'sshd'],
    ['status', '--nope'],
    ['dns', 'query'],
  ]) {
    const { status, stdout, stderr } = kt(...args)
    assert.equal(status, 2, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout, '')
    assert.match(stderr, /^error: .+\n {7}.+\n$/, args.join(' '))
  }
})

test('help and version are exit code 0, on stdout', () => {
  for (const args of [['--help'], ['up', '--help'], ['help', 'dns'], ['--version']]) {
    const { status, stdout } = kt(...args)
    assert.equal(status, 0)
    assert.notEqual(stdout, '')
  }
})

test('not connected is exit code 3, in words and as JSON', { skip: engineRuns && 'kt runs on this machine' }, () => {
  assert.equal(kt('status').status, 3)
  assert.equal(kt('dns', 'status').status, 3)
  const { status, stdout } = kt('status', '--json')
  assert.equal(status, 3)
  assert.equal(JSON.parse(stdout).state, 'disconnected')
})

test('kt down is exit code 0 when nothing runs', {
  skip:
    (engineRuns && 'kt runs on this machine') ||
    (process.getuid!() === 0 && 'as root it looks at /var/lib/kt of this machine'),
}, () => {
  assert.equal(kt('down').status, 0)
})
