// Something that is not there: is it the target, or its whole namespace?
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveForward } from '../../src/cluster/forward-target.ts'
import { findLeftovers } from '../../src/cluster/inbound/recover.ts'
import { resolveTarget } from '../../src/cluster/inbound/resolve.ts'
import { ApiDouble, forbidden } from './api-double.ts'

const notFound = (kind: string, name: string): [number, unknown] => [
  404,
  { kind: 'Status', reason: 'NotFound', message: `${kind} "${name}" not found`, details: { name, kind } },
]

/** Lists are empty, and every object but namespace `shop` is missing: as an API server answers for namespaces it does not know, too. */
const start = (mayRead: boolean) =>
  ApiDouble.start(({ path }) => {
    const [namespace, kind, name] = path.split('/namespaces/')[1].split('/')
    if (kind === undefined) {
      if (!mayRead) return forbidden('namespaces')
      return namespace === 'shop' ? [200, { metadata: { name: 'shop' } }] : notFound('namespaces', namespace)
    }
    return name === undefined ? [200, { items: [] }] : notFound(kind, name)
  })

const ways = {
  forward: (double: ApiDouble, namespace: string) =>
    resolveForward(double.api(), namespace, { target: 'web', local: 8080 } as never),
  'exchange of a Service': (double: ApiDouble, namespace: string) =>
    resolveTarget(double.api(), namespace, 'web', 'selector'),
  'exchange of a Deployment': (double: ApiDouble, namespace: string) =>
    resolveTarget(double.api(), namespace, 'deployment/web', 'selector'),
}

for (const [what, ask] of Object.entries(ways)) {
  test(`${what}: a namespace that is not there is told as such`, async () => {
    await using double = await start(true)
    await assert.rejects(ask(double, 'sohp'), {
      code: 'namespace-missing',
      message: 'there is no namespace "sohp"',
      hint: 'use --namespace with one that is there',
    })
  })

  test(`${what}: in a namespace that is there, or may not be read, the target is what is missing`, async () => {
    for (const mayRead of [true, false]) {
      await using double = await start(mayRead)
      await assert.rejects(ask(double, 'shop'), {
        code: 'target-unknown',
        message: /^there is no .*"web" in namespace shop$/,
      })
    }
  })
}

test('clean: a namespace that is not there is told; in one that is, or may not be read, nothing is left', async () => {
  const find = (double: ApiDouble, namespace: string) =>
    findLeftovers(
      { api: double.api(), namespace, now: () => 0, sleep: async () => {} } as never,
      { owner: '', except: [] },
      () => {},
    )
  await using double = await start(true)
  await assert.rejects(find(double, 'sohp'), { code: 'namespace-missing', message: 'there is no namespace "sohp"' })
  assert.deepEqual(await find(double, 'shop'), [])
  await using closed = await start(false)
  assert.deepEqual(await find(closed, 'sohp'), [])
})
