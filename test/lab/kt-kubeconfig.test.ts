// What kt finds of the caller where it runs in the background: the environment of their shell for a credential plugin,
// and for other commands the namespace that it is connected in.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { KtLab } from './kt-fixture.ts'

let kt: KtLab
let folder: string
before(async () => {
  kt = await KtLab.start()
  folder = mkdtempSync(join(tmpdir(), 'kt-plugin-'))
  chmodSync(folder, 0o755)
})
after(async () => {
  await kt?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** The lab's kubeconfig with a plugin in place of the token. */
function kubeconfig(): string {
  const config = JSON.parse(kt.lab.kubeconfig()) as { users: { user: { token?: string; exec?: object } }[] }
  const [{ user }] = config.users
  const credential = { kind: 'ExecCredential', status: { token: user.token } }
  const script = `#!/bin/sh\necho "logging in as $AWS_PROFILE" >&2\n[ "$AWS_PROFILE" = dev ] && echo '${JSON.stringify(credential)}'\n`
  writeFileSync(join(folder, 'kt-login'), script, { mode: 0o755 })
  delete user.token
  user.exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'kt-login', interactiveMode: 'IfAvailable' }
  writeFileSync(join(folder, 'config'), JSON.stringify(config), { mode: 0o644 })
  return join(folder, 'config')
}

test('a credential plugin of the shell: kt up without sudo finds it, and shows what it says', async () => {
  const env = { AWS_PROFILE: 'dev', PATH: `${folder}:/usr/sbin:/usr/bin:/bin` }
  const file = kubeconfig()
  const { stderr } = await kt.up(['--kubeconfig', file, '-n', 'strict'], { sudo: false, env })
  assert.match(stderr, /login {5}logging in as dev/)
  assert.equal((await kt.status())['namespace'], 'strict')

  const elsewhere = await kt.machine.kt(['recover', 'no-such', '--kubeconfig', file], { env })
  assert.match(elsewhere.stderr, /no Service "no-such" in namespace strict/)
  const named = await kt.machine.kt(['-n', 'shop', 'recover', 'no-such', '--kubeconfig', file], { env })
  assert.match(named.stderr, /no Service "no-such" in namespace shop/)
  await kt.down()
})

test('with sudo, which drops the environment: the hint says what keeps it', async () => {
  const { code, stderr } = await kt.machine.kt(['up', '--kubeconfig', kubeconfig()], { sudo: true })
  assert.equal(code, 1)
  assert.match(stderr, /error: the credential plugin "kt-login" of user ".*" cannot be run \(ENOENT\)\n/)
  assert.match(stderr, /; sudo keeps little of the environment: `.*` without sudo keeps it and asks for root itself\n/)
})
