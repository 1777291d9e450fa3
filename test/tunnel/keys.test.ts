// The shadow's key pairs as ssh2 and OpenSSH read them; those too that begin with a zero byte, where ssh2's own generator fails.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { ParsedKey } from 'ssh2'
import { encodeSshKeyPair, generateSshKeyPair, type SshKeyPair } from '../../src/cluster/ssh-key.ts'
import { missing } from '../support/programs.ts'

const { utils } = createRequire(import.meta.url)('ssh2') as typeof import('ssh2')

/** The first seed, counting up, whose public key begins with a zero byte. */
function zeroKey(): SshKeyPair {
  // RFC 8410 7: a PKCS #8 key is this and the seed.
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
  for (let i = 0; ; i++) {
    const seed = Buffer.alloc(32)
    seed.writeUInt32BE(i, 28)
    const key = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' })
    const point = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x!, 'base64url')
    if (point[0] === 0) return encodeSshKeyPair(seed, point, 'zero')
  }
}

function check(pair: SshKeyPair): void {
  const secret = utils.parseKey(pair.privateKey) as ParsedKey
  const open = utils.parseKey(pair.publicLine) as ParsedKey
  assert.equal(secret.getPublicSSH().toString('base64'), pair.publicKey)
  assert.equal(open.getPublicSSH().toString('base64'), pair.publicKey)
  assert.equal(open.verify('message', secret.sign('message')), true)
}

describe('key pairs', () => {
  it('are read by ssh2, sign and verify', () => {
    for (let i = 0; i < 50; i++) check(generateSshKeyPair('kt'))
  })

  it('may begin with a zero byte', () => check(zeroKey()))

  it('are read by OpenSSH', { skip: missing('ssh-keygen') }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'kt-keys-'))
    for (const pair of [generateSshKeyPair('a comment'), zeroKey()]) {
      writeFileSync(join(folder, 'key'), pair.privateKey, { mode: 0o600 })
      const line = execFileSync('ssh-keygen', ['-y', '-f', join(folder, 'key')], { encoding: 'utf8' })
      assert.equal(line.trim(), pair.publicLine.trim())
    }
    rmSync(folder, { recursive: true })
  })
})
