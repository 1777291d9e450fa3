// In a pod without a kubeconfig, the pod's service account is used; anything that a person names goes before it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { readKubeconfig } from '../../src/cluster/kubeconfig-file.ts'
import { podsKubeconfig } from '../../src/cluster/service-account.ts'

let folder: string
const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-pod-'))
})
after(() => rmSync(folder, { recursive: true }))

test('without a token, or outside of a pod, there is none', () => {
  assert.equal(podsKubeconfig(env, folder), undefined)
  writeFileSync(join(folder, 'token'), 'secret')
  assert.equal(podsKubeconfig({}, folder), undefined)
})

test("the server, authority, token and namespace are the pod's", () => {
  const { contexts, clusters, users, currentContext } = podsKubeconfig(env, folder)!
  assert.equal(contexts[0].name, currentContext)
  assert.equal(contexts[0].body['namespace'], 'default')
  writeFileSync(join(folder, 'namespace'), 'ci\n')
  assert.equal(podsKubeconfig(env, folder)!.contexts[0].body['namespace'], 'ci')
  assert.deepEqual(clusters[0].body, {
    server: 'https://10.96.0.1:443',
    'certificate-authority': join(folder, 'ca.crt'),
  })
  assert.deepEqual(users[0].body, { tokenFile: join(folder, 'token') })
  const six = podsKubeconfig({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, folder)
  assert.equal(six!.clusters[0].body['server'], 'https://[fd00::1]:443')
})

test('a kubeconfig that is named and missing is an error, in a pod, too', () => {
  assert.throws(() => readKubeconfig({ kubeconfig: '/none' }, env), { code: 'kubeconfig-missing' })
  assert.throws(() => readKubeconfig({}, { ...env, KUBECONFIG: '/none' }), { code: 'kubeconfig-missing' })
})
