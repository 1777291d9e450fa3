import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { ClusterError, type ClusterErrorCode } from '../../src/cluster/calls.ts'
import { loadKubeconfig } from '../../src/cluster/kubeconfig.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-kubeconfig-'))
after(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | object): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

function config(
  name: string,
  more: { user?: object; cluster?: object; context?: object; current?: string } = {},
): object {
  return {
    clusters: [{ name, cluster: { server: `https://${name}.example.com`, ...more.cluster } }],
    users: [{ name, user: more.user ?? { token: name } }],
    contexts: [{ name, context: { cluster: name, user: name, ...more.context } }],
    'current-context': more.current ?? name,
  }
}

function refused(run: () => unknown, code: ClusterErrorCode, message: RegExp, hint?: RegExp): void {
  assert.throws(run, (error: Error) => {
    assert.ok(error instanceof ClusterError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    if (hint) assert.match(error.hint, hint)
    return true
  })
}

describe('kubeconfig', () => {
  const a = file('a', config('a', { context: { namespace: 'shop' } }))
  const b = file('b', config('b'))

  test('--kubeconfig is the only file, its current context and namespace count', () => {
    const { identity } = loadKubeconfig({ kubeconfig: a }, { KUBECONFIG: b })
    assert.deepEqual(identity, {
      context: 'a',
      cluster: 'a',
      user: 'a',
      namespace: 'shop',
      server: 'https://a.example.com',
    })
  })

  test('--namespace and --context come before what the file says; without either it is default', () => {
    assert.equal(loadKubeconfig({ kubeconfig: a, namespace: 'n' }, {}).identity.namespace, 'n')
    const { identity } = loadKubeconfig({ context: 'b' }, { KUBECONFIG: `${a}:${b}` })
    assert.deepEqual([identity.cluster, identity.namespace], ['b', 'default'])
  })

  test('KUBECONFIG with several files: the first wins, missing ones are passed over', () => {
    const again = file('again', config('a', { user: { token: 'second' }, current: 'b' }))
    const { user, identity } = loadKubeconfig({}, { KUBECONFIG: `${folder}/no:${a}:${again}:${b}` })
    assert.equal(identity.context, 'a')
    assert.equal(user.token, 'a')
  })

  test('a context of one file may name a cluster of another', () => {
    const contexts = [{ name: 'x', context: { cluster: 'b', user: 'a' } }]
    const only = file('only', { contexts, 'current-context': 'x' })
    const { identity } = loadKubeconfig({}, { KUBECONFIG: `${only}:${a}:${b}` })
    assert.deepEqual([identity.server, identity.user], ['https://b.example.com', 'a'])
  })

  test('without KUBECONFIG it is ~/.kube/config', () => {
    mkdirSync(join(folder, '.kube'))
    file('.kube/config', config('home'))
    assert.equal(loadKubeconfig({}, { HOME: folder }).identity.context, 'home')
  })

  test('files that are missing, empty or broken are named, with the line', () => {
    refused(() => loadKubeconfig({ kubeconfig: '/no/such' }, {}), 'kubeconfig-missing', /no kubeconfig \/no\/such/)
    refused(() => loadKubeconfig({}, { KUBECONFIG: '/no/a:/no/b' }), 'kubeconfig-missing', /\/no\/a, \/no\/b/)
    refused(
      () => loadKubeconfig({}, { HOME: '/no' }),
      'kubeconfig-missing',
      /KUBECONFIG is not set and no \/no\/.kube\/config/,
    )
    refused(() => loadKubeconfig({ kubeconfig: file('empty', ' \n') }, {}), 'kubeconfig-missing', /is empty/)
    const broken = file('broken', 'clusters:\n- name: a\n  cluster: [\n')
    refused(() => loadKubeconfig({ kubeconfig: broken }, {}), 'kubeconfig-invalid', /broken:[34]: /)
    const noServer = file('no-server', { ...config('a'), clusters: [{ name: 'a' }] })
    refused(() => loadKubeconfig({ kubeconfig: noServer }, {}), 'kubeconfig-invalid', /cluster "a" .*has no server/)
  })

  test('an unknown context: those there are', () => {
    const run = () => loadKubeconfig({ context: 'no' }, { KUBECONFIG: `${a}:${b}` })
    refused(run, 'context-unknown', /no context "no"/, /a, b/)
  })

  test('a context whose cluster or user is not there', () => {
    const noCluster = file('no-cluster', { ...config('c'), clusters: [] })
    refused(() => loadKubeconfig({ kubeconfig: noCluster }, {}), 'kubeconfig-invalid', /its cluster "c" is not there/)
    const noUser = file('no-user', { ...config('c'), users: [] })
    refused(() => loadKubeconfig({ kubeconfig: noUser }, {}), 'kubeconfig-invalid', /its user "c" is not there/)
  })

  test("the kubeconfig's proxy comes before the environment's", () => {
    const proxied = file('proxied', config('p', { cluster: { 'proxy-url': 'socks5://own:1' } }))
    const env = { HTTPS_PROXY: 'http://env:1' }
    assert.equal(loadKubeconfig({ kubeconfig: proxied }, env).proxy, 'socks5://own:1')
    assert.equal(loadKubeconfig({ kubeconfig: a }, env).proxy, 'http://env:1')
  })

  const identityOf = (content: object | string, env = {}) =>
    loadKubeconfig({ kubeconfig: file('one', content) }, env).identity

  test('entries that are not in use may be as bad as they like', () => {
    const good = config('g')
    const bad: Record<string, object[]> = {
      contexts: [{ name: 'typo', context: {} }, { name: '' }, {}, { context: null }],
      clusters: [
        { name: 'typo' },
        { name: 'w', cluster: { server: 5, 'certificate-authority-data': '!' } },
        { cluster: [] },
        { name: { a: 1 } },
      ],
      users: [
        { name: '', user: { token: 'x' } },
        { name: 'p', user: { exec: { command: 7 } } },
        { user: null },
        { name: 'f', user: { 'token-file': '/no/such' } },
      ],
    }
    for (const [list, entries] of Object.entries(bad))
      for (const entry of entries) {
        const content = { ...good, [list]: [entry, ...(good as Record<string, object[]>)[list]] }
        assert.equal(identityOf(content).user, 'g', JSON.stringify(entry))
      }
    for (const list of ['contexts', 'clusters', 'users'])
      assert.ok(identityOf({ ...good, [list]: [null, 3, ...(good as Record<string, object[]>)[list]] }))
  })

  /** A kubeconfig as a person writes it, with `g` for everything. */
  const written = (user: string) => `
clusters: [{name: g, cluster: {server: "https://g.example.com"}}]
users: [{name: g, user: ${user}}]
contexts: [{name: g, context: {cluster: g, user: g}}]
current-context: g
`

  test('a repeated key: the last one counts; of two entries of a name the first', () => {
    assert.equal(identityOf(`current-context: no\n${written('{token: a, token: b}')}`).context, 'g')
    const twice = config('g') as { users: object[] }
    twice.users.push({ name: 'g', user: { token: 'second' } })
    assert.equal(loadKubeconfig({ kubeconfig: file('twice', twice) }, {}).user.token, 'g')
  })

  test('several documents: the first; an empty file among others is passed over', () => {
    assert.equal(identityOf(`${JSON.stringify(config('g'))}\n---\n{}\n`).context, 'g')
    const empty = file('nothing', '# nothing\n')
    assert.equal(loadKubeconfig({}, { KUBECONFIG: `${empty}:${a}` }).identity.context, 'a')
    refused(() => loadKubeconfig({}, { KUBECONFIG: `${empty}:${empty}` }), 'kubeconfig-missing', /nothing is empty/)
  })

  test('a name that is a number, an alias and a merge key', () => {
    const text = [
      'x: &c {server: "https://m.example.com"}',
      'clusters: [{name: 7, cluster: {<<: *c, tls-server-name: kube}}]',
      'users: [{name: u, user: {token: t}}]',
      'contexts: [{name: x, context: {cluster: 7, user: u}}]',
      'current-context: x',
    ]
    const { identity, cluster } = loadKubeconfig({ kubeconfig: file('merge', text.join('\n')) }, {})
    assert.deepEqual([identity.cluster, identity.server, cluster.tlsServerName], ['7', 'https://m.example.com', 'kube'])
  })

  test('a context without a user is nobody; a server without a scheme is as TLS is meant', () => {
    assert.equal(identityOf(config('g', { context: { user: '' } })).user, '')
    assert.equal(identityOf(config('g', { cluster: { server: 'api:8080' } })).server, 'http://api:8080')
    const tls = { server: 'api:6443/', 'insecure-skip-tls-verify': true }
    assert.equal(identityOf(config('g', { cluster: tls })).server, 'https://api:6443')
  })

  test('fields of the wrong kind are named, with entry and file', () => {
    const wrong: [object, RegExp][] = [
      [{ cluster: { server: 'ftp://api' } }, /cluster "g" in .*one has the server "ftp:\/\/api", which is no http/],
      [{ cluster: { 'insecure-skip-tls-verify': 'yes' } }, /insecure-skip-tls-verify that is neither true nor false/],
      [{ cluster: { 'proxy-url': 'ftp://p:1' } }, /its proxy-url "ftp:\/\/p:1" is of another kind than http, https/],
      [{ cluster: { 'proxy-url': 'http://u:secret@' } }, /its proxy-url "http:\/\/" is no URL/],
      [{ user: { token: ['t'] } }, /user "g" in .*one has a token that is no text/],
      [{ user: { 'as-groups': 'dev', as: 'a' } }, /as-groups that is no list of texts/],
      [{ user: { exec: {} } }, /user "g" .* has no exec.command/],
      [{ user: { exec: { command: 'x', interactiveMode: 'Maybe' } } }, /unknown exec.interactiveMode "Maybe"/],
      [{ user: { exec: { command: 'x', args: [['y']] } } }, /exec.args that is no list of texts/],
    ]
    for (const [more, words] of wrong) refused(() => identityOf(config('g', more)), 'kubeconfig-invalid', words)
  })

  test('what is no kubeconfig in the place of one is told before any work', () => {
    // Each is refused for its size or its kind, in front of the work; without that, the first would not end today.
    const level = (i: number) =>
      i === 0
        ? '[x, x]'
        : `[${Array(9)
            .fill(`*a${i - 1}`)
            .join(', ')}]`
    const bomb = Array.from({ length: 10 }, (_, i) => `a${i}: &a${i} ${level(i)}`).join('\n')
    const keys = Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join(', ')
    const merges = `base: &b {${keys}}\n${Array.from({ length: 5_000 }, (_, i) => `m${i}: {<<: *b}`).join('\n')}\n`
    const exploding = `${bomb}${written('{as: a, as-groups: *a9}')}`
    refused(() => identityOf(exploding), 'kubeconfig-invalid', /as-groups that is no list of texts/)
    refused(() => identityOf(merges), 'kubeconfig-invalid', /merge keys exceeded/)
    refused(() => identityOf('['.repeat(100_000)), 'kubeconfig-invalid', /nesting exceeded/)
    refused(() => identityOf('a\0b'), 'kubeconfig-invalid', /one is no text file/)
    refused(() => identityOf('hello'), 'kubeconfig-invalid', /is no kubeconfig/)
    refused(
      () => loadKubeconfig({ kubeconfig: '/dev/zero' }, {}),
      'kubeconfig-invalid',
      /\/dev\/zero is a pipe, a device/,
    )
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    refused(
      () => loadKubeconfig({}, { KUBECONFIG: pipe }),
      'kubeconfig-invalid',
      /pipe is a pipe, a device or a folder/,
    )
  })

  test('under sudo, which drops KUBECONFIG, the hint says so', () => {
    refused(
      () => loadKubeconfig({}, { HOME: '/no', SUDO_USER: 'ann' }),
      'kubeconfig-missing',
      /no kubeconfig/,
      /sudo drops KUBECONFIG/,
    )
  })

  test("the namespace: -n, then that of a live kt up in the same context and server, then the context's", () => {
    const connected = { context: 'a', server: 'https://a.example.com', namespace: 'team' }
    const namespace = (selection: object) => loadKubeconfig({ kubeconfig: a, ...selection }, {}).identity.namespace
    assert.equal(namespace({ connected, namespace: 'n' }), 'n')
    assert.equal(namespace({ connected }), 'team')
    assert.equal(namespace({ connected: { ...connected, context: 'b' } }), 'shop')
    assert.equal(namespace({ connected: { ...connected, server: 'https://b.example.com' } }), 'shop')
  })

  test('files that a kubeconfig names lie beside it, also when several are merged', () => {
    const sub = join(folder, 'sub')
    mkdirSync(sub)
    const inSub = join(sub, 'users')
    const exec = { command: './plugin' }
    writeFileSync(inSub, JSON.stringify({ users: [{ name: 'a', user: { tokenFile: 'token', exec } }] }))
    const only = file('no-users', { ...config('a'), users: [] })
    const { user } = loadKubeconfig({}, { KUBECONFIG: `${only}:${inSub}` })
    assert.deepEqual([user.tokenFile, user.exec?.command], [join(sub, 'token'), join(sub, 'plugin')])
  })
})
