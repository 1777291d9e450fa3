// `sudo kt logs` reads as the person who called sudo, and nothing but a plain file: root's eyes are lent to nobody.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

const NOBODY = 65534
const asRoot = process.getuid!() === 0
const skip = asRoot ? false : 'root alone can be somebody else'
let state: string
let file: string
before(() => {
  state = mkdtempSync(join(tmpdir(), 'kt-logs-'))
  file = join(state, 'kt/kt.log')
  mkdirSync(join(state, 'kt'))
  writeFileSync(join(state, 'secret'), 'the secret', { mode: 0o600 })
  for (const path of [state, join(state, 'kt')]) if (asRoot) chownSync(path, NOBODY, NOBODY)
})
after(() => rmSync(state, { recursive: true }))

/** As sudo starts it. */
function logs() {
  const { status, stdout, stderr } = spawnSync('bin/kt', ['logs'], {
    encoding: 'utf8',
    timeout: 20_000,
    env: {
      ...process.env,
      XDG_STATE_HOME: state,
      NO_COLOR: '1',
      ...(asRoot && { SUDO_UID: String(NOBODY), SUDO_GID: String(NOBODY), SUDO_USER: 'nobody' }),
    },
  })
  return { status, stdout, stderr }
}

test('a link to what only root may read, or a folder that is one, shows nothing', { skip }, () => {
  symlinkSync(join(state, 'secret'), file)
  const link = logs()
  assert.equal(link.status, 1)
  assert.match(link.stderr, /is no log of kt's/)
  assert.doesNotMatch(link.stdout + link.stderr, /the secret/)
  rmSync(file)

  mkdirSync(join(state, 'root'), { mode: 0o700 })
  cpSync(join(state, 'secret'), join(state, 'root/kt.log'))
  rmSync(join(state, 'kt'), { recursive: true })
  symlinkSync(join(state, 'root'), join(state, 'kt'))
  const folder = logs()
  assert.equal(folder.status, 1)
  assert.doesNotMatch(folder.stdout, /the secret/)
  rmSync(join(state, 'kt'))
  mkdirSync(join(state, 'kt'))
})

test('a log that nobody but root may read is not shown by sudo either', { skip }, () => {
  writeFileSync(file, 'the secret')
  chmodSync(file, 0o600)
  chownSync(file, 0, 0)
  assert.equal(logs().status, 1)
  rmSync(file)
})

test('a pipe in its place is told, and not waited for', () => {
  spawnSync('mkfifo', ['-m', '666', file])
  const { status, stderr } = logs()
  assert.equal(status, 1)
  assert.match(stderr, /is no log of kt's/)
  rmSync(file)
})

test('the log itself is shown', () => {
  writeFileSync(file, 'one line\n', { mode: 0o644 })
  if (asRoot) chownSync(file, NOBODY, NOBODY)
  assert.deepEqual(logs(), { status: 0, stdout: 'one line\n', stderr: '' })
  rmSync(file)
})
