// What a user of a kubeconfig is let in with, and what is said of a user that cannot be.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ClusterError } from '../../src/cluster/calls.ts'
import { CredentialSource } from '../../src/cluster/credentials.ts'
import { loadKubeconfig } from '../../src/cluster/kubeconfig.ts'
import { createAuthority } from '../lab/certificate.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-credentials-'))
after(() => rmSync(folder, { recursive: true }))
const inFolder = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const day = 86_400_000
const [from, until] = [new Date(Date.now() - day), new Date(Date.now() + day)]
const authority = createAuthority('ca', from, until)
const ann = authority.issue({ commonName: 'ann', notBefore: from, notAfter: until })
const bob = authority.issue({ commonName: 'bob', notBefore: from, notAfter: until })
const base64 = (text: string) => Buffer.from(text).toString('base64')

function load(user: object, cluster: object = {}) {
  const content = {
    clusters: [{ name: 'c', cluster: { server: 'https://api.example.com', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }
  return loadKubeconfig({ kubeconfig: inFolder('config', JSON.stringify(content)) }, {})
}

const source = () => new CredentialSource({ terminal: () => undefined, said: () => {} })
const get = async (user: object, cluster: object = {}) => source().get(load(user, cluster))

async function refused(user: object, message: RegExp, cluster: object = {}): Promise<void> {
  await assert.rejects(
    async () => get(user, cluster),
    (error: Error) => {
      assert.ok(error instanceof ClusterError, String(error))
      assert.match(error.message, message)
      assert.equal(error.code, 'kubeconfig-invalid')
      return true
    },
  )
}

test('a tokenFile is read relative to the kubeconfig, beats the token, and is read again when it changes', async () => {
  inFolder('token', 'first\n')
  const one = source()
  const kubeconfig = load({ tokenFile: 'token', token: 'beside' })
  assert.equal((await one.get(kubeconfig)).headers['Authorization'], 'Bearer first')
  inFolder('token', 'second\r\n')
  assert.equal((await one.get(kubeconfig)).headers['Authorization'], 'Bearer second')
})

test('a tokenFile that cannot be read is named, unless there is a token beside it', async () => {
  await refused({ tokenFile: 'no-such' }, /tokenFile .*\/no-such of user "u" in .* is not there/)
  await refused({ tokenFile: inFolder('empty', '\n') }, /tokenFile .*\/empty of user "u" in .* is empty/)
  const { headers } = await get({ tokenFile: 'no-such', token: 'beside' })
  assert.equal(headers['Authorization'], 'Bearer beside')
})

test('user and password', async () => {
  const { headers } = await get({ username: 'ann', password: 'pä:ss' })
  assert.equal(headers['Authorization'], `Basic ${base64('ann:pä:ss')}`)
})

test('acting as somebody: user, uid, groups and extra fields, as client-go writes them', async () => {
  const { headers } = await get({
    token: 't',
    as: 'ann',
    'as-uid': 'u-1',
    'as-groups': ['dev', 'ops'],
    'as-user-extra': { scopes: ['a', 'b'], 'acme.com/ä': ['x'], none: [] },
  })
  assert.deepEqual(headers, {
    Authorization: 'Bearer t',
    'Impersonate-User': 'ann',
    'Impersonate-Uid': 'u-1',
    'Impersonate-Group': ['dev', 'ops'],
    'Impersonate-Extra-scopes': ['a', 'b'],
    'Impersonate-Extra-acme.com%2F%C3%A4': ['x'],
  })
  await refused({ token: 't', 'as-groups': ['dev'] }, /has as-uid, as-groups or as-user-extra, and no `as`/)
})

test('certificates as data or as files, the name to expect, and no check at all', async () => {
  const data = {
    'client-certificate-data': base64(ann.cert),
    'client-certificate': '/no/such',
    'client-key': inFolder('ann.key', ann.key),
  }
  const cluster = { 'certificate-authority': inFolder('ca.crt', authority.cert), 'tls-server-name': 'kube' }
  assert.deepEqual((await get(data, cluster)).tls, {
    ca: authority.cert,
    cert: ann.cert,
    key: ann.key,
    servername: 'kube',
    rejectUnauthorized: true,
  })
  assert.deepEqual((await get({}, { 'insecure-skip-tls-verify': true })).tls, { rejectUnauthorized: false })
})

test('a certificate and a key that do not fit, or only one of them', async () => {
  const cert = { 'client-certificate-data': base64(ann.cert) }
  await refused(cert, /user "u" in .* has a client certificate without a key/)
  await refused({ ...cert, 'client-key-data': base64(bob.key) }, /do not belong together/)
  await refused({ ...cert, 'client-key-data': 'no-base-64!' }, /has a client-key-data that is not base64/)
  await refused({ ...cert, 'client-key-data': base64('hello') }, /client-key of user "u" .* is not in the PEM format/)
  const broken = base64('-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n')
  await refused({ ...cert, 'client-key-data': broken }, /the client key of user "u" .* cannot be read/)
})

test('what is no file in the place of one: told within 2 s, with its name', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, '/dev/zero', folder]) {
    const words = new RegExp(`${path},? .*is a pipe, a device or a folder, not a file`)
    await refused({}, words, { 'certificate-authority': path })
    await refused({ tokenFile: path }, words)
  }
  const long = inFolder('long', 'x'.repeat(5 << 20))
  await refused({ tokenFile: long }, /long of user "u" .* is longer than 4 MB/)
})

test('a line break or another control character in what becomes a header', async () => {
  await refused({ token: 'abc\r\nX-Evil: 1' }, /the token of user "u" in .* holds a line break, which cannot be sent/)
  await refused({ tokenFile: inFolder('bad', 'abc\r\ndef\n') }, /the token in .*bad holds a line break/)
  await refused({ token: 'abc\0' }, /holds a control character/)
  await refused({ token: 't', as: 'ann\n' }, /what user "u" in .* is to act as holds a line break/)
})

test('gcp: the access token while it is valid, else what the command answers', async () => {
  const config = { 'access-token': 'old', expiry: '2001-01-01T00:00:00Z' }
  const command = inFolder('gcloud', '#!/bin/sh\necho \'{"credential":{"access_token":"new"}}\'\n')
  execFileSync('chmod', ['+x', command])
  const provider = (more: object) => ({ 'auth-provider': { name: 'gcp', config: { ...config, ...more } } })
  const fresh = await get(provider({ expiry: until.toISOString() }))
  assert.equal(fresh.headers['Authorization'], 'Bearer old')
  const asked = await get(provider({ 'cmd-path': command, 'token-key': '{.credential.access_token}' }))
  assert.equal(asked.headers['Authorization'], 'Bearer new')
  await assert.rejects(
    get(provider({})),
    /access token of its auth-provider "gcp" has expired, and there is no cmd-path/,
  )
})

test('oidc: the id token; a provider that nobody knows is named', async () => {
  const claims = Buffer.from(JSON.stringify({ exp: until.getTime() / 1000 })).toString('base64url')
  const token = `e30.${claims}.c2ln`
  const { headers } = await get({ 'auth-provider': { name: 'oidc', config: { 'id-token': token } } })
  assert.equal(headers['Authorization'], `Bearer ${token}`)
  await assert.rejects(get({ 'auth-provider': { name: 'acme' } }), /auth-provider "acme" is not known/)
})
