// Nothing is taken over, changed or deleted because its name matches: what is there must say that it is about the same,
// and what an older kt made under other names is found all the same.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leaseName, secondName } from '../../src/cluster/inbound/derived.ts'
import {
  beginExchange,
  beginMesh,
  beginRun,
  removeExchange,
  restoreExchange,
  switchExchange,
} from '../../src/cluster/inbound/kinds.ts'
import { findLeftovers, recover, removeLeftovers } from '../../src/cluster/inbound/recover.ts'
import { renewLease } from '../../src/cluster/inbound/while-held.ts'
import {
  clientOf,
  contents,
  core,
  exchangeOf,
  jobs,
  leases,
  meshOf,
  NOBODY,
  namespaceWith,
  options,
  silent,
} from './namespace.ts'

const bob = { force: false, holder: 'bob@desk/2' }

test('two Services whose names are long and nearly equal are exchanged at once, each with its own second Service', async () => {
  const long = 'payments-of-the-european-branch-office-for-testing-only-'
  const names = [`${long}one`, `${long}two`]
  const cluster = namespaceWith(...names)
  const before = contents(cluster)
  const handles = []
  for (const name of names) {
    const here = clientOf(cluster.client())
    const handle = await beginExchange(here, exchangeOf(name, `${name}@laptop/1`), options, silent)
    await switchExchange(here, handle, silent)
    handles.push({ here, handle })
  }
  for (const [index, { handle }] of handles.entries())
    assert.deepEqual(cluster.objects.get(`${core}/services/${handle.original!.name}`)!['spec'].selector, {
      app: names[index],
    })
  for (const { here, handle } of handles) await removeExchange(here, handle)
  assert.deepEqual(contents(cluster), before)
})

test('a Service deployment-web and a Deployment web are held by two people at once', async () => {
  const cluster = namespaceWith('web', 'deployment-web')
  cluster.objects.delete(`${core}/services/web`)
  const one = exchangeOf('deployment/web', 'ann@laptop/1', { mode: 'scale' })
  await beginExchange(clientOf(cluster.client()), one, options, silent)
  await beginExchange(clientOf(cluster.client()), exchangeOf('deployment-web', 'ben@laptop/1'), options, silent)
})

test('two versions whose names join to the same text, or that differ in the header alone, have two holders', async () => {
  const cluster = namespaceWith('web', 'web-api')
  const requests = [
    meshOf('web', 'api-v2'),
    meshOf('web-api', 'v2'),
    meshOf('web', 'api-v2', { header: 'x-team', holder: 'eve@laptop/1' }),
  ]
  for (const request of requests) await beginMesh(clientOf(cluster.client()), request, options, silent)
  assert.equal(cluster.list(leases).length, 3)
  // The same header in other letters is the same version.
  const upper = meshOf('web', 'api-v2', { header: 'KT-Version', holder: 'max@laptop/1' })
  let renewals = 0
  const renewing = () => {
    cluster.put(`${leases}/${leaseName('mesh', 'web', { header: 'kt-version', value: 'api-v2', prefix: false })}`, {
      ...cluster.objects.get(
        `${leases}/${leaseName('mesh', 'web', { header: 'kt-version', value: 'api-v2', prefix: false })}`,
      ),
    })
    renewals++
  }
  await assert.rejects(beginMesh(clientOf(cluster.client(), renewing), upper, options, silent), { code: 'held' })
  assert.ok(renewals > 0)
})

test('a Lease of the right name that is about something else is not touched, whatever --force says', async () => {
  for (const force of [false, true])
    for (const annotations of [
      undefined,
      {
        'kt/exchange': JSON.stringify({ version: 1, id: 'x', kind: 'exchange', target: 'other', holder: 'eve@lap/1' }),
      },
    ]) {
      const cluster = namespaceWith('web')
      cluster.put(`${leases}/${leaseName('exchange', 'web')}`, { metadata: { annotations }, spec: {} })
      const before = contents(cluster)
      const begun = beginExchange(
        clientOf(cluster.client()),
        exchangeOf('web', 'ann@laptop/1', { force }),
        options,
        silent,
      )
      await assert.rejects(begun, { code: 'name-taken' })
      assert.deepEqual(contents(cluster), before)
    }
})

test('a Job that has the router’s name and is not the router is neither joined nor deleted', async () => {
  const cluster = namespaceWith('web')
  const theirs = cluster.put(`${jobs}/kt-shadow-abcde`, { spec: { suspend: true, template: { metadata: {} } } })
  const here = { ...clientOf(cluster.client()), suffix: () => 'abcde' }
  await assert.rejects(beginMesh(here, meshOf('web', 'ann'), options, silent), { code: 'name-taken' })
  assert.equal(cluster.objects.get(`${jobs}/kt-shadow-abcde`)?.metadata.uid, theirs.metadata.uid)
})

test('a copy of an exchanged Service is left alone when the original is put back', async () => {
  const cluster = namespaceWith('web')
  const here = clientOf(cluster.client())
  const handle = await beginExchange(here, exchangeOf('web', 'ann@laptop/1'), options, silent)
  await switchExchange(here, handle, silent)
  const { annotations } = cluster.objects.get(`${core}/services/web`)!.metadata
  const { spec } = cluster.objects.get(`${core}/services/web`)!
  const copy = cluster.put(`${core}/services/web-copy`, { metadata: { annotations }, spec })
  await recover(clientOf(cluster.client()), 'web', bob, silent)
  assert.deepEqual(cluster.objects.get(`${core}/services/web`)!['spec'].selector, { app: 'web' })
  assert.deepEqual(cluster.objects.get(`${core}/services/web-copy`), copy)
})

/** Renames what this kt made to the names that kt 0.1 gave. */
function asMadeByOlderKt(cluster: ReturnType<typeof namespaceWith>, id: string): void {
  const renamed: Record<string, string> = {
    [leaseName('exchange', 'web')]: 'kt-exchange-web',
    [secondName('web', id)]: 'web-kt-original',
    [leaseName('mesh', 'web', { header: 'kt-version', value: 'ann', prefix: false })]: 'kt-mesh-web-ann',
  }
  for (const [path, object] of [...cluster.objects]) {
    let text = JSON.stringify(object)
    for (const [now, old] of Object.entries(renamed)) text = text.replaceAll(now, old)
    const at = path.replace(/[^/]+$/, (name) => renamed[name] ?? name)
    cluster.objects.delete(path)
    cluster.objects.set(at, JSON.parse(text))
  }
}

for (const how of ['recover', 'clean'] as const)
  test(`what a dead kt of an older version left under its names is put back by ${how}`, async () => {
    const cluster = namespaceWith('web')
    const before = contents(cluster)
    const here = clientOf(cluster.client())
    const handle = await beginExchange(here, exchangeOf('web', 'ann@laptop/1'), options, silent)
    await switchExchange(here, handle, silent)
    asMadeByOlderKt(cluster, handle.id)
    assert.ok(cluster.objects.has(`${leases}/kt-exchange-web`))
    assert.ok(cluster.objects.has(`${core}/services/web-kt-original`))
    const later = clientOf(cluster.client())
    if (how === 'recover') await recover(later, 'web', bob, silent)
    else await removeLeftovers(later, await findLeftovers(later, NOBODY, silent), bob.holder, silent)
    assert.deepEqual(contents(cluster), before)
  })

test('an exchange that an older kt has begun is held; --force takes it, and the older one learns so', async () => {
  const cluster = namespaceWith('web')
  const before = contents(cluster)
  const ann = clientOf(cluster.client())
  const begun = await beginExchange(ann, exchangeOf('web', 'ann@laptop/1'), options, silent)
  asMadeByOlderKt(cluster, begun.id)
  const older = {
    ...begun,
    lease: { ...begun.lease, name: 'kt-exchange-web' },
    original: { name: 'web-kt-original' },
  }
  const ben = clientOf(cluster.client())
  const request = exchangeOf('web', 'ben@laptop/1')
  await assert.rejects(beginExchange(ben, request, options, silent), { code: 'held', message: /by ann@laptop/ })
  assert.deepEqual(
    cluster.list(leases).map(({ metadata }) => metadata.name),
    ['kt-exchange-web'],
  )
  const handle = await beginExchange(ben, { ...request, force: true }, options, silent)
  await switchExchange(ben, handle, silent)
  await assert.rejects(renewLease(ann, older), { code: 'taken-over' })
  await removeExchange(ann, older)
  assert.ok(cluster.objects.has(`${core}/services/${handle.original!.name}`))
  await restoreExchange(ben, handle, silent)
  await removeExchange(ben, handle)
  assert.deepEqual(contents(cluster), before)
})

test('a version of an older kt is taken when its holder is dead, and the mesh goes on with its second Service', async () => {
  const cluster = namespaceWith('web')
  const before = contents(cluster)
  const here = clientOf(cluster.client())
  const first = await beginMesh(here, meshOf('web', 'ann'), options, silent)
  await switchExchange(here, first, silent)
  asMadeByOlderKt(cluster, first.id)
  const again = clientOf(cluster.client())
  const handle = await beginMesh(again, meshOf('web', 'ann', { holder: 'ann@desk/9' }), options, silent)
  assert.equal(handle.original!.name, 'web-kt-original')
  assert.equal(cluster.list(leases).length, 1)
  await restoreExchange(again, handle, silent)
  await removeExchange(again, handle)
  assert.deepEqual(contents(cluster), before)
})

test('the Service of a kt run is not exchanged, not even with --force, since nothing is behind it', async () => {
  const cluster = namespaceWith()
  const run = { name: 'demo', ports: [{ port: 80, protocol: 'TCP' as const }], holder: 'ann@laptop/1' }
  await beginRun(clientOf(cluster.client()), run, options, silent)
  const before = contents(cluster)
  const request = exchangeOf('demo', 'ben@laptop/1', { force: true })
  await assert.rejects(beginExchange(clientOf(cluster.client()), request, options, silent), { code: 'target-unfit' })
  assert.deepEqual(contents(cluster), before)
})
