import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { ClusterError, type ClusterErrorCode, type ShadowHandle, type ShadowOptions } from '../../src/cluster/calls.ts'
import { until } from '../support/until.ts'
import { apply, client, jobsIn, kubeconfigFor, kubeconfigs, kubectl, shadowOptions, skip, skipOwn } from './cluster.ts'

// Its own namespace, so that "nothing is left" means this test's.
const namespace = 'kt-cluster-test'

describe('shadow on a real cluster', { skip }, () => {
  before(() => apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }))
  after(() => kubectl('delete', 'namespace', namespace, '--wait=false'))

  for (const kind of ['agent', 'sshd'] as const)
    test(`${kind}: created, dialable before it runs, running, prolonged, removed`, async () => {
      const image = kind === 'agent' ? shadowOptions.image : 'localhost/sshd-shadow:1'
      const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
      try {
        const steps: string[] = []
        let early: ShadowHandle | undefined
        const shadow = await cluster.createShadow(
          { ...shadowOptions, kind, image },
          (step, detail) => steps.push(`${step}: ${detail}`),
          { dialable: (handle) => (early = handle) },
        )
        assert.deepEqual(early, shadow)
        assert.ok(steps.includes(`shadow: ${shadow.pod} is scheduled to ${shadow.node}`), steps.join('\n'))
        assert.equal((await cluster.shadowState(shadow)).state, 'running')
        const deadline = () =>
          kubectl('-n', namespace, 'get', 'job', shadow.job, '-o', 'jsonpath={.spec.activeDeadlineSeconds}')
        await cluster.prolongShadow(shadow)
        if (kind === 'agent') assert.equal(deadline(), '')
        else assert.ok(Number(deadline()) >= 1800)
        await cluster.removeShadow(shadow)
        assert.equal((await cluster.shadowState(shadow)).state, 'gone')
        await cluster.removeShadow(shadow)
        assert.equal(kubectl('-n', namespace, 'get', 'jobs,pods,secrets', '-o', 'name').trim(), '')
      } finally {
        await cluster.close()
      }
    })

  test('a Job of the same name that is another one is not removed', async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
    try {
      const shadow = await cluster.createShadow(shadowOptions, () => {})
      await cluster.removeShadow({ ...shadow, jobUid: '00000000-0000-4000-8000-000000000000' })
      assert.equal((await cluster.shadowState(shadow)).state, 'running')
      await cluster.removeShadow(shadow)
    } finally {
      await cluster.close()
    }
  })

  test('close during the creation removes the Job', async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
    const scheduled = Promise.withResolvers<void>()
    const creation = cluster.createShadow(shadowOptions, () => {}, { dialable: () => scheduled.resolve() })
    const outcome = assert.rejects(creation, /given up/)
    await scheduled.promise
    await cluster.close()
    await outcome
    assert.deepEqual(jobsIn(namespace), [])
  })

  test('an abort signal removes the Job', async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
    try {
      const { signal, abort } = abortable()
      await assert.rejects(
        cluster.createShadow(shadowOptions, () => {}, { signal, dialable: abort }),
        /given up/,
      )
      assert.deepEqual(jobsIn(namespace), [])
    } finally {
      await cluster.close()
    }
  })

  const refusals: [string, Partial<ShadowOptions>, ClusterErrorCode, RegExp][] = [
    [
      'an image that is nowhere',
      { image: 'nosuch.invalid/x:1' },
      'image-pull',
      /nosuch\.invalid\/x:1 cannot be pulled: ErrImagePull/,
    ],
    ['an image with an invalid name', { image: 'UPPER//x' }, 'image-pull', /InvalidImageName/],
    [
      'a node selector nothing fits',
      { nodeSelector: { nosuch: 'label' } },
      'unschedulable',
      /no node takes the shadow's pod: 0\/\d+ nodes/,
    ],
    ['more CPU than there is', { resources: { cpu: '10k' } }, 'unschedulable', /Insufficient cpu/],
    ['an image without the program', { image: 'busybox:1.36' }, 'crashed', /node/],
    ['a service account that is not there', { serviceAccount: 'nosuch' }, 'admission', /nosuch.*not found/],
    ['a label that is none', { labels: { 'a b': 'c' } }, 'admission', /a b/],
  ]
  describe('told as the cluster tells it, soon, and nothing is left', { concurrency: true }, () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
    after(async () => {
      await cluster.close()
      assert.deepEqual(jobsIn(namespace), [])
    })
    for (const [what, change, code, words] of refusals)
      test(what, async () => {
        const start = performance.now()
        await rejectsWith(
          cluster.createShadow({ ...shadowOptions, ...change, readyTimeoutMs: 120_000 }, () => {}),
          code,
          words,
        )
        // Seconds on a machine of its own; what must not happen is that it waits for its time to be up.
        assert.ok(performance.now() - start < 60_000, `took ${performance.now() - start} ms`)
      })
  })

  test('a quota that is full: told as the cluster tells it', async () => {
    const hard = { pods: '0' }
    apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace }, spec: { hard } })
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
    try {
      // The quota is in force once its status says so.
      kubectl('-n', namespace, 'wait', 'resourcequota/none', '--for=jsonpath={.status.hard.pods}=0', '--timeout=10s')
      await rejectsWith(
        cluster.createShadow(shadowOptions, () => {}),
        'admission',
        /exceeded quota: none/,
      )
      assert.deepEqual(jobsIn(namespace), [])
    } finally {
      await cluster.close()
      kubectl('-n', namespace, 'delete', 'resourcequota', 'none')
    }
  })

  test('Pod Security "restricted" admits the agent and refuses sshd', { skip: skipOwn }, async () => {
    const cluster = client({ kubeconfig: kubeconfigs.developer, namespace: 'strict' })
    try {
      const shadow = await cluster.createShadow(shadowOptions, () => {})
      await cluster.removeShadow(shadow)
      const sshd: ShadowOptions = { ...shadowOptions, kind: 'sshd', image: 'localhost/sshd-shadow:1' }
      await rejectsWith(
        cluster.createShadow(sshd, () => {}),
        'admission',
        /violates PodSecurity "restricted/,
      )
    } finally {
      await cluster.close()
    }
  })

  test('a namespace that is not there', async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace: 'kt-nosuch' })
    try {
      await rejectsWith(
        cluster.createShadow(shadowOptions, () => {}),
        'namespace-missing',
        /"kt-nosuch"/,
      )
    } finally {
      await cluster.close()
    }
  })

  test('each right that is missing is named, and nothing is left', { skip: skipOwn }, async () => {
    const rules = documentedRules()
    for (const without of [...Object.keys(rules), undefined]) {
      const name = `without-${(without ?? 'nothing').replace('/', '-')}`
      const subjects = [{ kind: 'ServiceAccount', name, namespace }]
      const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }
      apply(
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
        {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'Role',
          metadata: { name, namespace },
          rules: Object.entries(rules).flatMap(([key, rule]) => (key === without ? [] : [rule])),
        },
        {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'RoleBinding',
          metadata: { name, namespace },
          subjects,
          roleRef,
        },
      )
      const token = kubectl('-n', namespace, 'create', 'token', name).trim()
      const cluster = client({ kubeconfig: kubeconfigFor(name, { token }, namespace) })
      try {
        if (without === undefined) {
          // docs/operate/rights.md's Role: all that is needed.
          await cluster.removeShadow(await cluster.createShadow(shadowOptions, () => {}))
        } else {
          const words = new RegExp(`cannot \\w+ (resource "${without}"|${without})`)
          await rejectsWith(
            cluster.createShadow(shadowOptions, () => {}),
            'forbidden',
            words,
          )
        }
        // The one without rights on Jobs made none; the others may delete theirs.
        assert.deepEqual(jobsIn(namespace), [], name)
      } finally {
        await cluster.close()
      }
    }
  })

  test('a worker that is killed is started again', { skip: process.platform !== 'linux' }, async () => {
    const cluster = client({ kubeconfig: kubeconfigs.admin, namespace })
    try {
      const lost = assert.rejects(
        cluster.createShadow({ ...shadowOptions, nodeSelector: { nosuch: 'label' } }, () => {}),
        /the process that speaks to the API server ended \(SIGTERM|given up/,
      )
      // pgrep fails while the child that was just started has not yet become the worker.
      const children = await until('there is a worker', () =>
        execFileSync('pgrep', ['-P', String(process.pid), '-f', 'worker'], { encoding: 'utf8' }),
      )
      for (const pid of children.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGTERM')
      await lost
      assert.equal((await cluster.identify()).namespace, namespace)
    } finally {
      await cluster.close()
    }
  })
})

/** The rules of the first Role in docs/operate/rights.md by resource: what the page says is what is tested. */
function documentedRules(): Record<string, { apiGroups: string[]; resources: string[]; verbs: string[] }> {
  const page = readFileSync(new URL('../../docs/operate/rights.md', import.meta.url), 'utf8')
  const [, role] = /```yaml\n(.*?)```/s.exec(page)!
  const rules = [...role.matchAll(/apiGroups: \[(.*)\]\n\s+resources: \[(.*)\]\n\s+verbs: \[(.*)\]/g)].map((match) => {
    const [apiGroups, resources, verbs] = match.slice(1).map((list) => list.replace(/["\s]/g, '').split(','))
    return { apiGroups, resources, verbs }
  })
  assert.equal(rules.length, 4)
  return Object.fromEntries(rules.map((rule) => [rule.resources[0], rule]))
}

function abortable(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

async function rejectsWith(promise: Promise<unknown>, code: ClusterErrorCode, words: RegExp): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof ClusterError, String(error))
    assert.match(error.message, words)
    assert.equal(error.code, code, error.message)
    assert.ok(error.hint.length > 0 && !error.message.includes('\n'))
    return true
  })
}
