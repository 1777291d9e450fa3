import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeSshKeyPair, generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { missing } from '../support/programs.ts'

// RFC 8032 7.1, test 1.
const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
const publicBytes = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex')

test('the public line is the type, its blob of type and key, and the comment', () => {
  const { publicLine, publicKey } = encodeSshKeyPair(seed, publicBytes, 'kt')
  assert.equal(publicLine, 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea kt\n')
  assert.equal(publicLine.split(' ')[1], publicKey)
})

test('the private file holds seed and public key, padded to the block', () => {
  const { privateKey } = encodeSshKeyPair(seed, publicBytes, 'kt')
  const bytes = Buffer.from(privateKey.replace(/-----.*-----|\n/g, ''), 'base64')
  assert.equal(bytes.subarray(0, 15).toString(), 'openssh-key-v1\0')
  assert.ok(bytes.includes(Buffer.concat([seed, publicBytes])))
  assert.deepEqual([...bytes.subarray(-3)], [1, 2, 3])
  assert.ok(privateKey.split('\n').every((line) => line.length <= 70))
})

test('ssh-keygen reads every generated key and derives the same public one', {
  skip: missing('ssh-keygen'),
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-key-'))
  try {
    // Comments of every length modulo the block, so that every padding is seen.
    for (let length = 0; length < 8; length++) {
      const pair = generateSshKeyPair('k'.repeat(length))
      const file = join(folder, `key${length}`)
      writeFileSync(file, pair.privateKey)
      chmodSync(file, 0o600)
      const line = execFileSync('ssh-keygen', ['-y', '-P', '', '-f', file], { encoding: 'utf8' })
      assert.equal(line.trim().split(' ')[1], pair.publicKey)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the two halves belong together', () => {
  const { privateKey, publicKey } = generateSshKeyPair('kt')
  const bytes = Buffer.from(privateKey.replace(/-----.*-----|\n/g, ''), 'base64')
  const x = Buffer.from(publicKey, 'base64').subarray(-32)
  const at = bytes.lastIndexOf(x)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') }
  const secret = createPrivateKey({
    key: { ...jwk, d: bytes.subarray(at - 32, at).toString('base64url') },
    format: 'jwk',
  })
  const signature = sign(null, Buffer.from('text'), secret)
  assert.ok(verify(null, Buffer.from('text'), createPublicKey({ key: jwk, format: 'jwk' }), signature))
})
