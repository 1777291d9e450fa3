import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { labMachine } from '../support/machine.ts'
import { until } from '../support/until.ts'
import type { KubeconfigOptions } from './lab.ts'
import { type Lab, startLab, topology } from './lab.ts'

let lab: Lab
before(async () => {
  lab = await startLab()
})
after(() => lab?.close())

/** One GET with the kubeconfig's credentials: status code and body, or the error's code. */
async function get(path: string, options: KubeconfigOptions = {}): Promise<[number | string, string]> {
  const code = `const c=JSON.parse(require('fs').readFileSync(process.argv[1])),u=c.users[0].user,d=s=>s&&Buffer.from(s,'base64')
    require('https').get(c.clusters[0].cluster.server+process.argv[2],{ca:d(c.clusters[0].cluster['certificate-authority-data']),
    cert:d(u['client-certificate-data']),key:d(u['client-key-data']),headers:u.token?{authorization:'Bearer '+u.token}:{}},async r=>{
    let t='';for await(const x of r)t+=x;console.log(JSON.stringify([r.statusCode,t]))})
    .on('error',e=>console.log(JSON.stringify([e.code,e.message])))`
  const words = [lab.laptop.node, '-e', code, lab.kubeconfigFile(options), path]
  const { stdout, stderr } = await lab.laptop.run(words)
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}

test('a Job becomes a pod with its Secret, resolver and user; a port-forward reaches it; deletion leaves nothing', async () => {
  const script = `${lab.laptop.checkout}/test/lab/api-walk.ts`
  const { stdout, stderr } = await lab.laptop.run([lab.laptop.node, script, lab.kubeconfigFile()])
  assert.notEqual(stdout, '', stderr)
  const saw = JSON.parse(stdout)
  assert.deepEqual(saw.codes, { made: 201, again: 409, secret: 201, patched: 200, deleted: 200, range: 422 })
  assert.equal(saw.none, 0, 'a suspended Job has no pod')
  assert.deepEqual(saw.echo, { echo: 'hello shadow', ports: [2222, 2222], closed: 1005 })
  const { uid, resolv, secret, home } = saw.log
  assert.deepEqual([uid, secret, home], [65532, 'sesame', false])
  assert.match(resolv, /^search shop\.svc\.cluster\.local .*\nnameserver 10\.112\.0\.10\n/)
  assert.deepEqual([saw.owned, saw.leftSecrets, saw.leftPods], [true, 0, 0])
  assert.match(saw.range, /The range of valid IPs is 10\.112\.0\.0\/16$/)
})

test('who may what: admin all, the developer in two namespaces, nobody without credentials', async () => {
  const codes = async (path: string) => [
    (await get(path))[0],
    (await get(path, { user: 'developer' }))[0],
    (await get(path, { user: 'guest' }))[0],
  ]
  assert.deepEqual(await codes('/api/v1/nodes'), [200, 403, 403])
  assert.deepEqual(await codes('/api/v1/namespaces/shop/pods'), [200, 200, 200])
  assert.deepEqual(await codes('/apis/batch/v1/namespaces/shop/jobs'), [200, 200, 403])
  assert.deepEqual(await codes('/apis/batch/v1/namespaces/default/jobs'), [200, 403, 403])
  const [, body] = await get('/api/v1/nodes', { user: 'developer' })
  assert.equal(
    JSON.parse(body).message,
    'nodes is forbidden: User "developer" cannot list resource "nodes" in API group "" at the cluster scope',
  )
})

test('certificates are taken, expired ones and wrong tokens are 401, a wrong authority is seen by the client', async () => {
  assert.equal((await get('/api/v1/nodes', { credentials: 'certificate' }))[0], 200)
  assert.equal((await get('/api/v1/nodes', { credentials: 'expired-certificate' }))[0], 401)
  assert.equal((await get('/api/v1/nodes', { credentials: 'wrong-token' }))[0], 401)
  assert.match(String((await get('/api/v1/nodes', { wrongAuthority: true }))[0]), /CERT|SIGNATURE|ISSUER/)
})

test('faults come and go: 401, 403, a missing API, delay, a server that is away', async () => {
  await lab.api.setFaults({ unauthorized: true })
  assert.equal((await get('/api/v1/nodes'))[0], 401)
  await lab.api.setFaults()
  await lab.api.setFaults({ forbid: ['list nodes'], noServiceCidrs: true })
  assert.equal((await get('/api/v1/nodes'))[0], 403)
  assert.equal((await get('/apis/networking.k8s.io/v1/servicecidrs'))[0], 404)
  await lab.api.setFaults()
  assert.equal((await get('/apis/networking.k8s.io/v1/servicecidrs'))[0], 200)
  await lab.api.stop()
  assert.equal((await get('/version'))[0], 'ECONNREFUSED')
  await lab.api.start()
  assert.equal((await get('/version'))[0], 200)
  assert.ok((await lab.api.takeRequests()).includes('list nodes'))
})

test('pods fail as asked: unknown image, no node, quota, crash', async () => {
  const spec = (image: string, nodeSelector = {}) => ({
    template: { spec: { nodeSelector, containers: [{ name: 'c', image, command: ['true'] }] } },
  })
  const names = ['no-image', 'no-node', 'no-quota', 'crash']
  const make = (name: string, body: object) =>
    lab.api.create('jobs', { metadata: { name, namespace: 'shop' }, spec: body })
  await make(names[0], spec('example.com/nothing:1'))
  await make(names[1], spec('node:24-alpine', { disk: 'ssd' }))
  await lab.api.setFaults({ refusePods: 'exceeded quota: tight, requested: pods=1' })
  await make(names[2], spec('node:24-alpine'))
  await lab.api.list('events') // a round trip: the Job has been looked at
  await lab.api.setFaults({ refusePods: undefined, crash: 7 })
  await make(names[3], spec('node:24-alpine'))
  const pod = async (job: string) => (await lab.api.list('pods')).find((p) => p.metadata.labels?.['job-name'] === job)
  const terminated = await until('the crash', async () => {
    return (await pod('crash'))?.status.containerStatuses?.[0].state.terminated
  })
  assert.equal(terminated.exitCode, 7)
  assert.match((await pod('no-image'))!.status.containerStatuses[0].state.waiting.reason, /ErrImagePull/)
  assert.equal((await pod('no-node'))!.status.conditions[0].reason, 'Unschedulable')
  assert.equal(await pod('no-quota'), undefined)
  const events = await lab.api.list('events')
  assert.ok(events.some((e) => e.reason === 'FailedCreate' && e.message.includes('exceeded quota')))
})

test('the laptop has no way around: the pod network stays out of reach while a shadow runs', async () => {
  const { error } = await labMachine(lab.laptop).probe('tcp', {
    host: topology.webAddresses[0],
    port: 80,
    timeoutMs: 300,
  })
  assert.ok(error)
})
