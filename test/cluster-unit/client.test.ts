import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ClusterError, type ShadowHandle, type ShadowOptions } from '../../src/cluster/calls.ts'
import { createClusterClient } from '../../src/cluster/client.ts'
import { Liveness } from '../../src/cluster/liveness.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { ApiDouble } from './api-double.ts'

const shadow: ShadowHandle = {
  namespace: 'shop',
  job: 'kt-shadow-abcde',
  jobUid: 'u',
  pod: 'kt-shadow-abcde-x',
  node: 'n1',
  kind: 'agent',
  port: 2222,
  username: 'kt',
  clientKey: '',
  hostKey: undefined,
}

const options: ShadowOptions = {
  kind: 'sshd',
  image: 'x',
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  labels: {},
  annotations: {},
  resources: {},
  owner: 'a@b',
  readyTimeoutMs: 60_000,
}

/** This process's children that are workers. */
function workers(): number[] {
  const isWorker = (pid: string) => {
    try {
      const parent = /\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
      return parent === String(process.pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('cluster/worker')
    } catch {
      return false // it ended meanwhile
    }
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isWorker(name))
    .map(Number)
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!condition()) {
    assert.ok(performance.now() < end, 'it did not happen within 10 s')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('nothing is started before the first call, and errors keep code, message and hint', async () => {
  const client = createClusterClient({ kubeconfig: '/no/such' })
  assert.deepEqual(workers(), [])
  await client.close()
  await assert.rejects(client.identify(), (error: Error) => {
    assert.ok(error instanceof ClusterError)
    assert.deepEqual([error.code, error.message], ['kubeconfig-missing', 'there is no kubeconfig /no/such'])
    assert.match(error.hint, /--kubeconfig/)
    return true
  })
  assert.equal(workers().length, 1)
  await client.close()
  assert.deepEqual(workers(), [])
})

test('the worker ends when idle and starts again with the next call', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const client = createClusterClient({ kubeconfig: double.kubeconfig() }, { idleMs: 0 })
  const identity = await client.identify()
  assert.deepEqual([identity.namespace, identity.serverAddresses], ['shop', ['127.0.0.1']])
  await until(() => workers().length === 0)
  assert.equal((await client.identify()).user, 'u')
  await client.close()
})

test('a worker that dies fails its calls with a reason, and the next call has a new one', async () => {
  let silent = true
  const asked = Promise.withResolvers<void>()
  await using double = await ApiDouble.start(() => {
    asked.resolve()
    return silent ? undefined : [200, {}]
  })
  const client = createClusterClient({ kubeconfig: double.kubeconfig() })
  const lost = assert.rejects(client.identify(), /the process that speaks to the API server ended \(SIGKILL\)/)
  await asked.promise
  process.kill(workers()[0], 'SIGKILL')
  await lost
  silent = false
  assert.equal((await client.identify()).context, 'x')
  await client.close()
})

test('a worker that was stopped fails its calls with a reason and is ended, and the next call has a new one', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const patience = { everyMs: 200, misses: 10, missesAtFirst: 300 }
  const client = createClusterClient({ kubeconfig: double.kubeconfig() }, { patience })
  await client.identify()
  const [stopped] = workers()
  process.kill(stopped, 'SIGSTOP')
  await assert.rejects(client.identify(), (error: ClusterError) => {
    assert.equal(error.message, 'the process that speaks to the API server did not answer and was ended')
    assert.match(error.hint, /^try again/)
    return true
  })
  assert.equal((await client.identify()).context, 'x')
  await until(() => !workers().includes(stopped))
  await client.close()
})

test('a worker that was stopped does not outlive this process, which may end before it is ended', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const patience = { everyMs: 200, misses: 10, missesAtFirst: 300 }
  const client = createClusterClient({ kubeconfig: double.kubeconfig() }, { patience })
  await client.identify()
  const [stopped] = workers()
  process.kill(stopped, 'SIGSTOP')
  const before = process.listeners('exit')
  await assert.rejects(client.identify(), /was ended/)
  const [atExit, ...more] = process.listeners('exit').filter((one) => !before.includes(one))
  assert.deepEqual(more, [])
  atExit(0)
  await until(() => !workers().includes(stopped) && !process.listeners('exit').includes(atExit))
  await client.close()
})

test('a worker that was stopped while nothing was asked of it is ended, too', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const client = createClusterClient({ kubeconfig: double.kubeconfig() })
  await client.identify()
  process.kill(workers()[0], 'SIGSTOP')
  await client.close(10)
  assert.deepEqual(workers(), [])
})

test('a stopped worker that was let go does not outlive the process that had it', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const program = `
    import { createClusterClient } from ${JSON.stringify(import.meta.resolve('../../src/cluster/client.ts'))}
    import { readFileSync } from 'node:fs'
    const client = createClusterClient({ kubeconfig: ${JSON.stringify(double.kubeconfig())} }, { idleMs: 100 })
    const children = () => readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim()
    await client.identify()
    const worker = Number(children())
    process.kill(worker, 'SIGSTOP')
    setTimeout(() => {
      console.log(worker)
      process.exit()
    }, 300)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  const state = () => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${Number(stdout)}/status`, 'utf8'))?.[1] ?? 'gone'
  await until(() => {
    try {
      return state() === 'Z'
    } catch {
      return true // not even that
    }
  })
})

test('one that says something now and then is not taken for dead, and may take longer for its first word', async () => {
  const time = new VirtualTime()
  const said: string[] = []
  const patience = { everyMs: 1_000, misses: 3, missesAtFirst: 6 }
  const one = new Liveness(
    patience,
    () => said.push('ask'),
    () => said.push('hangs'),
    time,
  )
  one.watch()
  await time.run(5_000)
  one.heard()
  await time.run(2_000)
  one.heard()
  await time.run(2_000)
  assert.equal(said.includes('hangs'), false)
  await time.run(1_000)
  assert.equal(said.at(-1), 'hangs')
  await time.run(9_000)
  assert.equal(said.at(-1), 'hangs')
})

test('close gives up what is under way at once', async (t) => {
  const asked = Promise.withResolvers<void>()
  await using double = await ApiDouble.start(() => {
    asked.resolve()
    return undefined
  })
  // A worker that waits, as for the removal of a shadow, ends after 8 s and with another code.
  const folder = mkdtempSync(join(tmpdir(), 'kt-worker-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const code = join(folder, 'code')
  const prefix = ['sh', '-c', `"$@"; echo $? >${code}`, 'sh']
  const client = createClusterClient({ kubeconfig: double.kubeconfig() }, { prefix })
  const call = assert.rejects(client.identify(), /given up/)
  await asked.promise
  await client.close(60_000)
  await call
  assert.equal(readFileSync(code, 'utf8'), '0\n', 'it has waited for nothing')
})

test('a worker that loses its parent removes the Job it was making', async () => {
  const released = Promise.withResolvers<void>()
  const removed = Promise.withResolvers<unknown>()
  await using double = await ApiDouble.start(({ method, path, query, body }, response) => {
    if (path.endsWith('/selfsubjectaccessreviews')) return [201, { status: { allowed: true } }]
    if (query.get('watch')) {
      response.writeHead(200).flushHeaders()
      return undefined
    }
    if (method === 'POST' && path.endsWith('/jobs')) {
      const job = body as { metadata: object }
      return [201, { ...job, metadata: { ...job.metadata, uid: 'job-uid' } }]
    }
    if (method === 'PATCH') released.resolve()
    if (method === 'DELETE') removed.resolve(body)
    return [200, {}]
  })
  const client = createClusterClient({ kubeconfig: double.kubeconfig() })
  const creation = client.createShadow(options, () => {})
  creation.catch(() => {}) // close() below rejects it
  await released.promise
  // SIGTERM stands for the end of the channel: both take the same way out.
  process.kill(workers()[0], 'SIGTERM')
  assert.deepEqual(await removed.promise, { propagationPolicy: 'Background', preconditions: { uid: 'job-uid' } })
  await client.close()
  await assert.rejects(creation, ClusterError)
  const order = double.asked
    .filter(({ query }) => !query.get('watch'))
    .map(({ method, path }) => `${method} ${path.split('/').at(-1)!.slice(0, 9)}`)
  const writes = order.filter((each) => !each.includes('selfsubj'))
  assert.deepEqual(writes, ['POST jobs', 'POST secrets', 'PATCH kt-shadow', 'DELETE kt-shadow'])
})

test('a port-forward has all that a WebSocket needs, credentials included', async () => {
  await using double = await ApiDouble.start(() => [200, {}])
  const cluster = { server: 'https://api.example.com/k8s', 'tls-server-name': 'kube', 'proxy-url': 'http://p:1' }
  const ca = Buffer.from('-----BEGIN CERTIFICATE-----').toString('base64')
  const kubeconfig = double.kubeconfig(
    { token: 't', as: 'ann', 'as-groups': ['a', 'b'] },
    { ...cluster, 'certificate-authority-data': ca },
  )
  const client = createClusterClient({ kubeconfig })
  assert.deepEqual(await client.portForward(shadow), {
    url: 'wss://api.example.com/k8s/api/v1/namespaces/shop/pods/kt-shadow-abcde-x/portforward?ports=2222',
    headers: { Authorization: 'Bearer t', 'Impersonate-User': 'ann', 'Impersonate-Group': ['a', 'b'] },
    tls: { ca: '-----BEGIN CERTIFICATE-----', servername: 'kube', rejectUnauthorized: true },
    proxy: 'http://p:1',
  })
  await client.close()
})

/** A program in the worker's place. */
const instead = (program: string) => ({ prefix: [process.execPath, '-e', program] })

test('a worker that says what is no reply is ended, and its calls fail with a reason', async () => {
  const client = createClusterClient({}, instead(`process.send({ type: 'nonsense' }); setInterval(() => {}, 1000)`))
  await assert.rejects(client.identify(), (error: ClusterError) => {
    assert.equal(error.code, 'internal')
    assert.equal(
      error.message,
      'the process that speaks to the API server said what kt does not understand and was ended',
    )
    return true
  })
  await client.close()
})

test('a result that is not what the call gives fails the call', async () => {
  const program = `process.on('message', ({ type, id }) => type === 'call' && process.send({ type: 'result', id, value: 42 }))`
  const client = createClusterClient({}, instead(program))
  await assert.rejects(client.identify(), /gave to identify what kt does not understand/)
  await client.close()
})
