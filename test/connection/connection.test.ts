// A connection to a cluster, in virtual time: what it finds, how it comes back, and that closing it leaves nothing.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FakeCluster } from './fake-cluster.ts'

const shown = (cluster: FakeCluster) =>
  cluster.steps
    .filter(({ state }) => state !== 'running')
    .map(({ step, state, detail }) => `${step} ${state}: ${detail}`)

/** Connects, and lets all of it happen. */
async function connected(cluster = new FakeCluster()) {
  const said: string[] = []
  const connection = cluster.connection({
    onConnected: (_, { pod }) => said.push(`connected ${pod}`),
    onLost: (why) => said.push(`lost: ${why}`),
    onInterrupted: (why) => said.push(`interrupted: ${why}`),
    onResumed: () => said.push('resumed'),
    onFailed: ({ message }) => said.push(`failed: ${message}`),
  })
  const connecting = connection.connect()
  connecting.catch(() => {})
  await cluster.time.run(2_000)
  return { cluster, connection, said, connecting }
}

test('it tells each step, and finds the ranges and names of the cluster', async () => {
  const { cluster, connecting } = await connected()
  const { identity, ranges, names } = await connecting
  assert.deepEqual(shown(cluster), [
    'cluster done: c as u, namespace n (s)',
    'ranges done: pods unknown; services 10.96.0.0/16',
    'ranges note: a guess',
    'shadow done: job1-pod on node1',
    'tunnel done: agent fake, 1.0 ms round trip',
  ])
  assert.equal(identity.namespace, 'n')
  assert.deepEqual(
    ranges.ranges.map(({ cidr }) => cidr),
    ['10.96.0.0/16'],
  )
  assert.deepEqual([names.clusterDomain, names.namespaces], ['cluster.local', ['n', 'other']])
})

test('the shadow is dialled before the cluster says that it runs', async () => {
  const { cluster } = await connected()
  assert.ok(cluster.asked.includes('300 dial'), cluster.asked.join(', '))
})

test('a dial that fails is repeated until the shadow answers', async () => {
  const cluster = new FakeCluster()
  cluster.refusals = Array.from({ length: 3 }, () => new Error('nothing listens there'))
  const { connecting } = await connected(cluster)
  await connecting
  const dials = cluster.asked.filter((line) => line.endsWith('dial'))
  assert.deepEqual(dials, ['300 dial', '475 dial', '650 dial', '825 dial'])
})

test('a shadow that ended is told in the words of the cluster', async () => {
  const cluster = new FakeCluster()
  cluster.refusals = Array.from({ length: 100 }, () => new Error('nothing listens there'))
  cluster.state = { state: 'gone', detail: 'exit code 1' }
  const { connection, connecting } = await connected(cluster)
  await cluster.time.run(2_000)
  await assert.rejects(connecting, /the shadow job1-pod ended: exit code 1/)
  const closing = connection.close()
  await cluster.time.run(1_000)
  await closing
  assert.equal(cluster.time.pending, 0)
})

test('a tunnel that is lost is opened again, and a shadow that is gone is made again and the old one removed', async () => {
  const { cluster, connection, said } = await connected()
  cluster.tunnels[0].lose('cut')
  await cluster.time.run(500)
  assert.deepEqual(said, ['connected job1-pod', 'lost: cut', 'connected job1-pod'])
  assert.equal(connection.reconnects, 1)
  said.length = 0
  cluster.refusals = [new Error('no pod')]
  cluster.state = { state: 'gone', detail: 'evicted' }
  cluster.tunnels[1].lose('cut again')
  await cluster.time.run(2_000)
  assert.deepEqual(said, ['lost: cut again', 'failed: no pod', 'connected job2-pod'])
  assert.deepEqual([...cluster.shadows], ['job2'])
})

test('an interrupted line keeps its tunnel, and a hint that the network changed reaches it', async () => {
  const cluster = new FakeCluster()
  cluster.lines = true
  const { connection, said } = await connected(cluster)
  const [fake] = cluster.tunnels
  const causes: string[] = []
  fake.line!.suspect = (cause) => void causes.push(cause)
  connection.suspect('another network')
  fake.tell('interrupted', 'the port-forward ended')
  fake.tell('open')
  assert.deepEqual(causes, ['another network'])
  assert.deepEqual(said.slice(1), ['interrupted: the port-forward ended', 'resumed'])
  assert.equal(connection.tunnel(), fake.tunnel)
})

test('an sshd shadow is prolonged every five minutes, until the connection is closed', async () => {
  const cluster = new FakeCluster()
  cluster.kind = 'sshd'
  const { connection } = await connected(cluster)
  await cluster.time.run(11 * 60_000)
  assert.equal(cluster.prolonged, 2)
  const closing = connection.close()
  await cluster.time.run(20 * 60_000)
  await closing
  assert.equal(cluster.prolonged, 2)
  assert.equal(cluster.time.pending, 0)
})

describe('closing', () => {
  /** What is left after closing `at` ms after the beginning. */
  async function closedAt(at: number, cluster = new FakeCluster()) {
    const connection = cluster.connection()
    let outcome = 'pending'
    const connecting = connection.connect().then(
      () => {
        outcome = 'connected'
      },
      (error: { code?: string }) => {
        outcome = `rejected: ${error.code}`
      },
    )
    await cluster.time.run(at)
    const before = outcome
    const closing = connection.close()
    await cluster.time.run(10_000)
    const left = await closing
    await connecting
    return { at, before, outcome, left, cluster, connection }
  }

  test('at any moment of connecting leaves no shadow, no tunnel and no timer', async () => {
    const seen = new Set<string>()
    // Each answer takes 100 ms, so this passes all of them on both sides.
    for (let at = 0; at <= 1_000; at += 25) {
      const { before, outcome, left, cluster, connection } = await closedAt(at)
      seen.add(before)
      const what = `closed after ${at} ms`
      assert.deepEqual([...cluster.shadows], [], what)
      assert.equal(cluster.open, 0, what)
      assert.equal(cluster.time.pending, 0, what)
      assert.equal(cluster.closed, 1, what)
      assert.equal(left, undefined, what)
      assert.equal(connection.tunnel(), undefined, what)
      assert.equal(outcome, before === 'connected' ? 'connected' : 'rejected: gone', what)
    }
    assert.deepEqual(seen, new Set(['pending', 'connected']))
  })

  test('in any turn after a dial has succeeded leaves nothing', async () => {
    for (let turns = 0; turns <= 40; turns++) {
      const cluster = new FakeCluster()
      const connection = cluster.connection()
      const connecting = connection.connect().catch(() => {})
      await cluster.time.runUntil(() => cluster.asked.at(-1) === '300 dial', 1_000)
      // The dial is answered next.
      while (cluster.time.now() < 400) await cluster.time.step(400)
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      const closing = connection.close()
      await cluster.time.run(10_000)
      await Promise.all([closing, connecting])
      assert.equal(cluster.tunnels.length, 1)
      assert.deepEqual([cluster.shadows.size, cluster.open, cluster.time.pending], [0, 0, 0], `after ${turns} turns`)
    }
  })

  test('a shadow that is finished although it was given up is removed', async () => {
    const cluster = new FakeCluster()
    cluster.deaf = true
    const { left } = await closedAt(400, cluster)
    assert.equal(left, undefined)
    assert.deepEqual([cluster.shadows.size, cluster.open, cluster.time.pending], [0, 0, 0])
  })

  test('while a dial does not succeed leaves nothing', async () => {
    for (const at of [310, 380, 420, 480, 900]) {
      const cluster = new FakeCluster()
      cluster.refusals = Array.from({ length: 100 }, () => new Error('nothing listens there'))
      await closedAt(at, cluster)
      assert.deepEqual([cluster.shadows.size, cluster.open, cluster.time.pending], [0, 0, 0], `closed after ${at} ms`)
    }
  })

  test('while another shadow is being made in place of one that is gone leaves nothing', async () => {
    for (let ms = 0; ms <= 1_500; ms += 50) {
      const { cluster, connection } = await connected()
      cluster.refusals = [new Error('no pod')]
      cluster.state = { state: 'gone', detail: 'evicted' }
      cluster.tunnels[0].lose('cut')
      await cluster.time.run(ms)
      const closing = connection.close()
      await cluster.time.run(10_000)
      assert.equal(await closing, undefined)
      assert.deepEqual([cluster.shadows.size, cluster.open, cluster.time.pending], [0, 0, 0], `closed ${ms} ms after`)
    }
  })

  test('ends in time when the cluster does not answer, and tells what is left', async () => {
    const { cluster, connection } = await connected()
    cluster.silent.add('removeShadow')
    const began = cluster.time.now()
    let ended = 0
    const closing = connection.close().finally(() => {
      ended = cluster.time.now() - began
    })
    await cluster.time.run(10_000)
    const left = await closing
    assert.equal(left?.shadow.job, 'job1')
    assert.match(left!.error.message, /no answer in time/)
    assert.equal(ended, 6_000)
    assert.equal(cluster.time.pending, 0)
  })

  test('ends in time when a shadow in the making cannot be given up', async () => {
    const cluster = new FakeCluster()
    cluster.silent.add('removeShadow')
    const { left } = await closedAt(450, cluster)
    assert.equal(left?.shadow.job, 'job1')
    assert.equal(cluster.time.pending, 0)
  })

  test('twice is once, and `await using` closes', async () => {
    const { cluster, connection } = await connected()
    const first = connection.close()
    assert.equal(connection.close(), first)
    const disposed = connection[Symbol.asyncDispose]()
    await cluster.time.run(1_000)
    await Promise.all([first, disposed])
    assert.equal(cluster.closed, 1)
    assert.equal(cluster.asked.filter((line) => line.endsWith('removeShadow')).length, 1)
  })

  test('nothing begins after it', async () => {
    const cluster = new FakeCluster()
    const connection = cluster.connection()
    await connection.close()
    await assert.rejects(connection.connect(), /kt is ending/)
    await assert.rejects(connection.open(), /kt is ending/)
    assert.deepEqual(cluster.asked, [])
  })
})
