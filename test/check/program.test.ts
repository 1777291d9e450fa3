// `kt check` as a program, against an API server's double: what is asked (nothing that changes anything), what is said, and
// how it ends. What it finds on the machine that runs this is not looked at.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import type { CheckLine } from '../../src/control/check.ts'
import { type Answerer, ApiDouble, forbidden } from '../cluster-unit/api-double.ts'

interface Report {
  ok: boolean
  failed: number
  checks: CheckLine[]
  notTried: string[]
}

async function check(
  kubeconfig: string,
  ...args: string[]
): Promise<{ code: number; report: Report; byName: Map<string, CheckLine> }> {
  return new Promise((resolve) => {
    execFile(
      'bin/kt',
      ['check', '--json', '--kubeconfig', kubeconfig, ...args],
      { env: { ...process.env, SUDO_UID: undefined }, timeout: 60_000 },
      (error, stdout) => {
        const report = JSON.parse(stdout) as Report
        const byName = new Map(report.checks.map((line) => [line.name, line]))
        resolve({ code: error ? Number(error.code) : 0, report, byName })
      },
    )
  })
}

/** A cluster in which `denied` says what is not allowed. */
const cluster =
  (denied: (spec: { verb: string; resource: string }) => boolean = () => false): Answerer =>
  ({ method, path, query, body }) => {
    if (path === '/version') return [200, { gitVersion: 'v1.34.4', minor: '34' }]
    if (path.endsWith('/selfsubjectaccessreviews')) {
      const { resourceAttributes } = (body as { spec: { resourceAttributes: { verb: string; resource: string } } }).spec
      return [201, { status: { allowed: !denied(resourceAttributes) } }]
    }
    if (method === 'POST' && query.get('dryRun') === 'All')
      return path.endsWith('/services') ? forbidden('services') : [201, body]
    if (path === '/api/v1/namespaces/shop') return [200, { metadata: { name: 'shop', labels: {} } }]
    if (path.endsWith('/servicecidrs'))
      return [200, { items: [{ metadata: { name: 'kubernetes' }, spec: { cidrs: ['10.96.0.0/16'] } }] }]
    if (path === '/api/v1/nodes') return [200, { items: [{ spec: { podCIDRs: ['10.244.0.0/24'] } }] }]
    return [200, { items: [] }]
  }

test('a cluster that is ready: nothing is changed in it', async () => {
  await using double = await ApiDouble.start(cluster())
  const { report, byName } = await check(double.kubeconfig())
  assert.deepEqual(
    report.checks.filter(({ group, state }) => group !== 'machine' && state !== 'ok'),
    [],
  )
  assert.equal(byName.get('API server')!.result.startsWith('v1.34.4, '), true)
  assert.match(byName.get("pods' range")!.result, /^10\.244\.0\.0\/24 /)
  for (const { method, path, query } of double.asked)
    assert.ok(
      method === 'GET' || query.get('dryRun') === 'All' || path.endsWith('/selfsubjectaccessreviews'),
      `${method} ${path}`,
    )
  assert.match(report.notTried.join(), /kt check --shadow/)
})

test('missing rights: the needed ones fail, the others warn; exit code 1', async () => {
  await using double = await ApiDouble.start(
    cluster(({ verb, resource }) => (verb === 'create' && resource === 'jobs') || resource === 'nodes'),
  )
  const { code, report, byName } = await check(double.kubeconfig())
  assert.equal(code, 1)
  assert.equal(report.ok, false)
  assert.equal(byName.get('create jobs')!.state, 'failed')
  assert.equal(byName.get('list nodes')!.state, 'warning')
  assert.equal(byName.get('get pods')!.state, 'ok')
})

// Of SelfSubjectAccessReview's spec.resourceAttributes; the API server sends a warning for any other.
const KNOWN_ATTRIBUTES = new Set(['verb', 'group', 'resource', 'subresource', 'namespace'])

test('a question about a right has only what the API server knows', async () => {
  await using double = await ApiDouble.start(cluster())
  await check(double.kubeconfig())
  const reviews = double.asked.filter(({ path }) => path.endsWith('/selfsubjectaccessreviews'))
  assert.ok(reviews.length > 10)
  const sent = reviews.flatMap(({ body }) =>
    Object.keys((body as { spec: { resourceAttributes: object } }).spec.resourceAttributes),
  )
  assert.deepEqual(
    sent.filter((name) => !KNOWN_ATTRIBUTES.has(name)),
    [],
  )
  assert.ok(sent.includes('subresource'))
})

test('a token that has expired', async () => {
  await using double = await ApiDouble.start(({ path }, response) => {
    response.setHeader('date', new Date().toUTCString())
    return [401, { kind: 'Status', code: 401, message: `Unauthorized: ${path}` }]
  })
  const token = `x.${Buffer.from(JSON.stringify({ exp: 1_700_000_000 })).toString('base64url')}.x`
  const { code, byName } = await check(double.kubeconfig({ token }), '--shadow')
  assert.equal(code, 1)
  const { state, result, advice } = byName.get('API server')!
  assert.equal(state, 'failed')
  assert.match(result, /the token of user "u" expired on 2023-11-14/)
  assert.match(advice, /log in to the cluster again/)
})

test('no kubeconfig, and an API server that is not there', async () => {
  const none = await check('/nonexistent/config')
  assert.equal(none.code, 1)
  assert.equal(none.byName.get('kubeconfig')!.state, 'failed')
  const double = await ApiDouble.start(() => [200, {}])
  const { byName } = await (async () => {
    const closed = await ApiDouble.start(() => [200, {}])
    const gone = closed.url
    await closed[Symbol.asyncDispose]()
    return check(double.kubeconfig({ token: 'x' }, { server: gone }))
  })()
  await double[Symbol.asyncDispose]()
  assert.match(byName.get('API server')!.result, /refuses the connection/)
})
