import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ClusterError, type ClusterErrorCode, type ClusterSelection } from '../../src/cluster/calls.ts'
import { contains } from '../../src/wire/cidr.ts'
import {
  apply,
  client,
  folder,
  kubeconfigFor,
  kubeconfigs,
  kubectl,
  shadowOptions,
  skip,
  skipOwn,
  state,
} from './cluster.ts'

const namespace = 'kt-cluster-id-test'

describe('identity and ranges on a real cluster', { skip }, () => {
  before(() => apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }))
  after(() => kubectl('delete', 'namespace', namespace, '--wait=false'))

  test('who, where, and the addresses never to be captured', async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace: 'shop' })
    try {
      const identity = await cluster.identify()
      assert.equal(identity.namespace, 'shop')
      assert.ok(identity.serverAddresses.length > 0)
      if (!skipOwn) assert.deepEqual(identity.serverAddresses, [new URL(identity.server).hostname])
    } finally {
      await cluster.close()
    }
  })

  test('the administrator gets exact ranges of both families', async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin })
    try {
      const { ranges, notes } = await cluster.discoverRanges()
      assert.deepEqual(notes, [])
      assert.ok(ranges.every(({ guessed }) => !guessed))
      const cidrs = ranges.map(({ cidr }) => cidr)
      for (const address of clusterAddresses()) assert.ok(covered(cidrs, address), `${address} in ${cidrs}`)
    } finally {
      await cluster.close()
    }
  })

  test('a developer of one namespace gets ranges that hold every pod and service', { skip: skipOwn }, async () => {
    const cluster = client({ kubeconfig: kubeconfigs.developer, namespace: 'shop' })
    try {
      const { ranges, notes } = await cluster.discoverRanges()
      const cidrs = ranges.map(({ cidr }) => cidr)
      for (const address of clusterAddresses()) assert.ok(covered(cidrs, address), `${address} in ${cidrs}`)
      assert.ok(ranges.filter(({ kind }) => kind === 'services').every(({ guessed }) => !guessed))
      assert.ok(ranges.filter(({ kind }) => kind === 'pods').every(({ guessed }) => guessed))
      assert.equal(notes.length, 1)
      assert.match(notes[0], /guessed.*`list` on nodes/)
      // The nodes and the API server stay out of what was guessed.
      assert.ok(!covered(cidrs, '172.31.77.2') && !covered(cidrs, '172.31.77.11'))
    } finally {
      await cluster.close()
    }
  })

  test('a developer of an empty namespace gets ranges from the shadow itself', { skip: skipOwn }, async () => {
    const cluster = client({ kubeconfig: kubeconfigs.developer, namespace: 'strict' })
    try {
      const creation = cluster.createShadow(shadowOptions, () => {})
      const { ranges } = await cluster.discoverRanges()
      const cidrs = ranges.map(({ cidr }) => cidr)
      for (const address of clusterAddresses()) assert.ok(covered(cidrs, address), `${address} in ${cidrs}`)
      await cluster.removeShadow(await creation)
    } finally {
      await cluster.close()
    }
  })

  test('a user who may do nothing gets no ranges and is told what to do', { skip: skipOwn }, async () => {
    apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'nobody', namespace } })
    const token = kubectl('-n', namespace, 'create', 'token', 'nobody').trim()
    const cluster = client({ kubeconfig: kubeconfigFor('nobody', { token }, namespace) })
    try {
      const { ranges, notes } = await cluster.discoverRanges()
      assert.deepEqual(ranges, [])
      assert.equal(notes.length, 2)
      for (const note of notes) assert.match(note, /no right to list .*--include/)
    } finally {
      await cluster.close()
    }
  })

  test('a context that is not there: those that are, are listed', async () => {
    const words = /there is no context "nosuch" in /
    const error = await refused({ kubeconfig: kubeconfigs.admin, context: 'nosuch' }, 'context-unknown', words)
    assert.match(error.hint, /contexts there: /)
  })

  test('a client certificate that has expired: since when', { skip: skipOwn }, async () => {
    const pki = join(state, 'pki')
    const [key, csr, crt] = ['key', 'csr', 'crt'].map((end) => join(folder, `expired.${end}`))
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key)
    openssl('req', '-new', '-key', key, '-out', csr, '-subj', '/O=developers/CN=late')
    // A day in the past: openssl takes no end date before 3.4 but counts negative days.
    openssl(
      'x509',
      '-req',
      '-in',
      csr,
      '-CA',
      join(pki, 'ca.crt'),
      '-CAkey',
      join(pki, 'ca.key'),
      '-set_serial',
      '77',
      '-days',
      '-1',
      '-out',
      crt,
    )
    const user = { 'client-certificate': crt, 'client-key': key }
    const selection = { kubeconfig: kubeconfigFor('late', user, 'shop') }
    await refused(selection, 'credentials', /client certificate of user "late" expired on 20\d\d-/)
  })

  test('a token that is refused', async () => {
    const selection = { kubeconfig: kubeconfigFor('stranger', { token: 'nonsense' }, 'shop') }
    await refused(selection, 'credentials', /does not accept user "stranger": Unauthorized/)
  })

  test('another certificate authority', async () => {
    const file = changed('other-ca', (cluster) => {
      const crt = join(folder, 'other-ca.crt')
      const key = join(folder, 'other-ca.key')
      const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      execFileSync('openssl', [...args, '-keyout', key, '-out', crt, '-subj', '/CN=ktc-ca', '-days', '1'], {
        stdio: 'ignore',
      })
      return { ...cluster, 'certificate-authority-data': readFileSync(crt).toString('base64') }
    })
    await refused({ kubeconfig: file }, 'tls', /is not trusted/)
  })

  test('an API server that refuses, and one that does not answer, within 6 s', async () => {
    const refusing = changed('refusing', (cluster) => ({ ...cluster, server: 'https://127.0.0.1:1' }))
    await refused({ kubeconfig: refusing }, 'unreachable', /refuses the connection/)
    if (skipOwn) return
    // An address of the lan that nobody has: silence, then "no route to host" after 3 s of ARP.
    const silent = changed('silent', (cluster) => ({ ...cluster, server: 'https://172.31.77.250:6443' }))
    const start = performance.now()
    await refused({ kubeconfig: silent }, 'unreachable', /does not answer|no route to host/)
    assert.ok(performance.now() - start < 8_000)
  })
})

function clusterAddresses(): string[] {
  const services = kubectl('get', 'services', '-A', '-o', 'jsonpath={range .items[*]}{.spec.clusterIPs[*]} {end}')
  const pods = kubectl(
    'get',
    'pods',
    '-A',
    '-o',
    'jsonpath={range .items[?(@.status.phase=="Running")]}{.status.podIPs[*].ip} {end}',
  )
  const all = `${services} ${pods}`.split(/\s+/).filter((text) => /^[\da-f.:]+$/.test(text))
  assert.ok(all.some((text) => text.includes(':')) && all.some((text) => text.includes('.')), all.join())
  return all
}

function covered(cidrs: string[], address: string): boolean {
  return cidrs.some((cidr) => contains(cidr, address))
}

function changed(name: string, change: (cluster: Record<string, unknown>) => object): string {
  const config = JSON.parse(kubectl('config', 'view', '--raw', '-o', 'json')) as {
    clusters: { name: string; cluster: Record<string, unknown> }[]
  }
  for (const entry of config.clusters) entry.cluster = change(entry.cluster) as Record<string, unknown>
  const file = join(folder, `${name}.kubeconfig`)
  writeFileSync(file, JSON.stringify(config))
  return file
}

async function refused(selection: ClusterSelection, code: ClusterErrorCode, words: RegExp): Promise<ClusterError> {
  const cluster = client(selection)
  try {
    await cluster.identify()
    assert.fail('it was accepted')
  } catch (error) {
    assert.ok(error instanceof ClusterError, String(error))
    assert.match(error.message, words)
    assert.equal(error.code, code)
    return error
  } finally {
    await cluster.close()
  }
}
