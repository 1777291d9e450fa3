// `kt forward` between programs of this machine, which are real sockets, and a cluster and a tunnel that the test plays,
// in virtual time.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import type { ForwardConfig } from '../../src/control/holder.ts'
import { Forward } from '../../src/daemon/inbound/forward.ts'
import { FakeCluster } from '../connection/fake-cluster.ts'
import type { FakeTunnel } from '../support/fake-tunnel.ts'

const config = {
  kind: 'forward',
  target: 'web',
  ports: [{ local: 0 }],
  shadow: 'agent',
  readyTimeoutS: 60,
} as unknown as ForwardConfig

/** Lets sockets and the virtual clock do what is due now, until `done`. */
async function until(cluster: FakeCluster, what: string, done: () => unknown, ms = 0): Promise<void> {
  for (let i = 0; i < 500; i++) {
    await cluster.time.run(ms)
    await new Promise((resolve) => setImmediate(resolve))
    if (done()) return
  }
  assert.fail(what)
}

function bench(cluster = new FakeCluster()) {
  const notices: string[] = []
  const steps: string[] = []
  const { log } = cluster
  const forward = new Forward(config, {
    ...{ cluster: cluster.client, clock: cluster.time, log },
    identity: new Promise(() => {}),
    dialer: (closing) => cluster.dialer(closing),
    progress: ({ step, state, detail }) => state !== 'running' && steps.push(`${step} ${state}: ${detail}`),
    notice: (line) => void notices.push(line),
    fail: (error) => assert.fail(error),
  })
  return { cluster, forward, notices, steps }
}

async function started(cluster?: FakeCluster) {
  const one = bench(cluster)
  let said = ''
  void one.forward.start().then((line) => {
    said = line
  })
  await until(one.cluster, 'it starts', () => said, 50)
  const port = Number(/localhost:(\d+)/.exec(said)![1])
  return { ...one, said, port, tunnel: one.cluster.tunnels[0] }
}

/** A program that connects and writes `text`. */
function program(port: number, text = 'hello') {
  const socket: Socket = connect(port, '127.0.0.1')
  const seen = { got: '', over: '' }
  socket.on('data', (chunk) => {
    seen.got += chunk
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.over = error.code ?? 'error'
  })
  socket.on('close', () => {
    seen.over ||= 'closed'
  })
  socket.write(text)
  return { socket, seen }
}

async function end({ forward, cluster }: ReturnType<typeof bench>, ...programs: { socket: Socket }[]) {
  for (const { socket } of programs) socket.destroy()
  let notes: string[] | undefined
  void forward.close().then((left) => {
    notes = left
  })
  await until(cluster, 'it ends', () => notes, 200)
  assert.deepEqual([cluster.shadows.size, cluster.open, cluster.time.pending], [0, 0, 0])
  return notes
}

test('it says where its port leads, and joins a program with the target', async () => {
  const one = await started()
  assert.match(one.said, /^localhost:\d+ leads to service\/web in n, port 80\.$/)
  assert.deepEqual(one.steps, ['target done: service/web in n, port 80', 'shadow done: job1-pod on node1'])
  const client = program(one.port)
  const stream = await opened(one.cluster, one.tunnel)
  assert.equal(stream.target.address.toString(), '10.96.0.1')
  stream.handler.onOpen()
  stream.handler.onData(Buffer.from('answer'))
  await until(one.cluster, 'both directions', () => client.seen.got === 'answer' && stream.written === 'hello')
  assert.deepEqual(await end(one, client), [])
})

async function opened(cluster: FakeCluster, tunnel: FakeTunnel, count = 1) {
  await until(cluster, `stream ${count} is opened`, () => tunnel.streams.length === count, 100)
  return tunnel.streams[count - 1]
}

test('a connection that comes before there is a tunnel is served once there is one', async () => {
  const one = bench()
  const { cluster, forward } = one
  one.cluster.refusals = Array.from({ length: 10 }, () => new Error('nothing listens there'))
  const starting = forward.start()
  let port = 0
  void starting.then((line) => {
    port = Number(/localhost:(\d+)/.exec(line)![1])
  })
  await until(cluster, 'it starts', () => port, 50)
  const [tunnel] = cluster.tunnels
  cluster.refusals = [new Error('unreachable')]
  tunnel.lose('cut')
  await until(cluster, 'the loss is told', () => one.notices.length === 1)
  const client = program(port)
  let rounds = 0
  await until(cluster, 'it waits', () => client.socket.readyState === 'open' && ++rounds > 20)
  await until(cluster, 'another tunnel', () => cluster.tunnels.length === 2, 100)
  const stream = await opened(cluster, cluster.tunnels[1])
  stream.handler.onOpen()
  await until(cluster, 'it is joined', () => stream.written === 'hello')
  assert.deepEqual(one.notices, ['the tunnel is away; connections wait until it is back', 'the tunnel is back'])
  await end(one, client)
})

test('a connection waits for the tunnel for 30 s, and is then reset with a word of why', async () => {
  const one = await started()
  const { cluster } = one
  cluster.refusals = Array.from({ length: 1_000 }, () => new Error('unreachable'))
  one.tunnel.lose('cut')
  await until(cluster, 'the loss is told', () => one.notices.length === 1)
  const began = cluster.time.now()
  const client = program(one.port)
  await until(cluster, 'it is reset', () => client.seen.over, 500)
  assert.equal(client.seen.over, 'ECONNRESET')
  const waited = cluster.time.now() - began
  assert.ok(waited >= 30_000 && waited < 40_000, `${waited} ms`)
  assert.equal(one.notices.at(-1), 'a connection waited 30 s for the tunnel')
  await end(one, client)
})

test('a pod that refuses is looked up again, and the one in its place is dialled', async () => {
  const cluster = new FakeCluster()
  cluster.target = { ...cluster.target, address: '10.244.0.1', pod: 'web-1' }
  const one = await started(cluster)
  const client = program(one.port)
  const first = await opened(cluster, one.tunnel)
  cluster.target = { ...cluster.target, address: '10.244.0.2', pod: 'web-2' }
  first.handler.onFail('refused', 'ECONNREFUSED')
  const second = await opened(cluster, one.tunnel, 2)
  assert.equal(second.target.address.toString(), '10.244.0.2')
  assert.deepEqual(one.notices, ['web-1 is gone; web-2 takes its place'])
  second.handler.onFail('refused', 'ECONNREFUSED')
  await until(cluster, 'the same address is not dialled for ever', () => client.seen.over, 100)
  assert.equal(one.notices.at(-1), 'service/web (web-2) port 80 refuses the connection')
  await end(one, client)
})

test('a line that is interrupted is told once, and once more when it goes on', async () => {
  const cluster = new FakeCluster()
  cluster.lines = true
  const one = await started(cluster)
  one.tunnel.tell('suspected', 'silence')
  one.tunnel.tell('interrupted', 'silence')
  one.tunnel.tell('interrupted', 'the port-forward ended')
  one.tunnel.tell('open')
  assert.deepEqual(one.notices, ['the tunnel is away; connections wait until it is back', 'the tunnel is back'])
  await end(one)
})

test('closing at any moment of the beginning leaves nothing', async () => {
  for (let at = 0; at <= 900; at += 50) {
    const one = bench()
    const starting = one.forward.start().catch(() => {})
    await until(one.cluster, 'it listens', () => one.cluster.asked.length > 0)
    await one.cluster.time.run(at)
    await end(one)
    await starting
  }
})

test('a shadow that cannot be removed is told', async () => {
  const one = await started()
  one.cluster.silent.add('removeShadow')
  let notes: string[] | undefined
  void one.forward.close().then((left) => {
    notes = left
  })
  await until(one.cluster, 'it ends', () => notes, 500)
  assert.deepEqual(notes, ['the shadow job1 could not be removed (it ends by itself): no answer in time'])
})
