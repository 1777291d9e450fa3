// `kt mesh` on a real cluster: two people at once on one Service, each with a version, asked from a pod over HTTP/1.1, WebSocket and
// HTTP/2 as gRPC uses it; who leaves or vanishes takes only his version along.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Holding, startHolding } from '../support/holding.ts'
import { makeLaptops, realCluster, realMachine } from '../support/machine.ts'
import { MeshBench } from '../support/mesh-bench.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const NAMESPACE = 'kt-mesh'
const LOCAL = 18080

describe('kt mesh', { skip }, () => {
  const bench = new MeshBench(program, NAMESPACE)
  let before_: object
  const started: Holding[] = []
  const start = async (laptop: string, args: string[]) => {
    const held = await startHolding(program, laptop, args)
    started.push(held)
    return held
  }
  const mesh = async (laptop: string, ...args: string[]) => {
    const held = await start(laptop, ['mesh', 'web', '--expose', `${LOCAL}:80`, ...args, '-n', NAMESPACE])
    await held.saysSoon(/come here: 80 -> localhost:18080/)
    return held
  }
  const routerOf = (held: Holding) => /kt-shadow-\S+/.exec(held.said())?.[0]
  const names = async (versions: (string | null)[], bytes?: number) =>
    ((await bench.ask({ op: 'keptAlive', versions, bytes })) as { name: string }[]).map(({ name }) => name)
  const asBefore = async () => {
    assert.deepEqual(bench.snapshot(), before_)
    await until('nothing of kt remains', () => bench.remains().length === 0, 20_000).catch(() =>
      assert.deepEqual(bench.remains(), []),
    )
  }

  before(async () => {
    bench.start()
    makeLaptops(program, 'mesha', 'meshb')
    await Promise.all([bench.startLocal('mesha', 'ann', LOCAL), bench.startLocal('meshb', 'ben', LOCAL)])
    before_ = bench.snapshot()
  })
  after(async () => {
    if (skip) return
    // Those of a test that failed.
    const over = await Promise.all(started.map(async (held) => (await Promise.race([held.exit, 'holds'])) !== 'holds'))
    const left = started.filter((_, index) => !over[index])
    for (const held of left) held.signal('SIGINT')
    await Promise.all(left.map((held) => held.exit))
    bench.stop()
  })

  test('two people with a version each; one leaves, the other vanishes; the last one puts everything back', async () => {
    const [ann, ben] = await Promise.all([
      mesh('mesha', '--version-mark', 'ann'),
      mesh('meshb', '--version-mark', 'kt-version:ben*'),
    ])
    assert.match(ann.said(), /curl -H 'kt-version: ann' http:\/\/web\.kt-mesh\//)

    // Nodes follow the endpoints a moment later.
    await until(
      'requests go through the router',
      async () => (await names(['ann', 'ben'])).join() === 'ann,ben',
      20_000,
    )

    // One connection of the caller, each request to another side.
    const versions = ['ann', null, 'ben-2', 'ann', 'other', 'ben']
    assert.deepEqual(await names(versions), ['ann', 'original', 'ben', 'ann', 'original', 'ben'])
    const [first] = (await bench.ask({ op: 'keptAlive', versions: ['ann'], bytes: 20_000_000 })) as {
      bytes: number
      host: string
      forwarded: string
    }[]
    assert.equal(first.bytes, 20_000_000)
    assert.equal(first.host, `web.${NAMESPACE}`)
    assert.match(first.forwarded, /^[\d.:a-f]+$/)

    assert.deepEqual(await bench.ask({ op: 'webSocket', versions: ['ann', null, 'ben'] }), [
      'ann hello',
      'original hello',
      'ben hello',
    ])
    const streams = await bench.ask({ op: 'http2', versions: ['ann', null, 'ben', 'ann'] })
    assert.deepEqual(
      streams,
      ['ann', 'original', 'ben', 'ann'].map((name) => ({ text: 'm1m2m3', name, status: '0' })),
    )
    // What is not HTTP passes, also where the server speaks first.
    assert.match(String(await bench.ask({ op: 'banner', port: 25, versions: [] })), /^220 original\nagain$/)

    const status = JSON.parse((await realMachine(program, 'mesha').kt(['status', '--json'])).stdout)
    assert.deepEqual(
      status.exchanges.map((each: { kind: string; mode: string; version: string }) => [
        each.kind,
        each.mode,
        each.version,
      ]),
      [['mesh', 'auto', 'kt-version: ann']],
    )

    // A version is one person's, and a meshed Service is not exchanged.
    const tried = ['web', '--expose', `${LOCAL}:80`, '-n', NAMESPACE]
    const [same, exchange] = await Promise.all([
      start('meshb', ['mesh', ...tried, '--version-mark', 'ann']),
      start('meshb', ['exchange', ...tried]),
    ])
    assert.equal(await same.exit, 1)
    assert.match(same.said(), /requests of web with "kt-version: ann" go to dev@\S+ since /)
    assert.equal(await exchange.exit, 1)
    assert.match(exchange.said(), /web is meshed by /)

    // One vanishes: only that version is gone, and is the original's.
    const benStatus = JSON.parse((await realMachine(program, 'meshb').kt(['status', '--json'])).stdout)
    process.kill(benStatus.exchanges[0].pid, 'SIGKILL')
    assert.equal(await ben.exit, 1)
    await until(
      'the version of the one who vanished is the original’s',
      async () => {
        const [name] = await names(['ben'])
        return name === 'original'
      },
      30_000,
    )
    assert.deepEqual(await names(['ann', 'ben', null]), ['ann', 'original', 'original'])

    // The one who vanished comes back, to the same router, and takes the version over.
    const again = await mesh('meshb', '--version-mark', 'ben*')
    assert.equal(routerOf(again), routerOf(ann))
    assert.deepEqual(await names(['ann', 'ben', null]), ['ann', 'ben', 'original'])

    // The first leaves: the second's version goes on.
    ann.signal('SIGINT')
    assert.equal(await ann.exit, 0, ann.said())
    assert.deepEqual(await names(['ann', 'ben1', null]), ['original', 'ben', 'original'])
    again.signal('SIGTERM')
    assert.equal(await again.exit, 0, again.said())
    await asBefore()
    assert.deepEqual(await names(['ann', 'ben', null]), ['original', 'original', 'original'])
  })

  test('a local program that does not answer: the original answers, or with --no-fallback the caller is told', async () => {
    const nobody = [
      'mesh',
      'web',
      '--expose',
      '18099:80',
      '--no-check',
      '--version-mark',
      'x-team:blue',
      '-n',
      NAMESPACE,
    ]
    const patient = await start('mesha', nobody)
    await patient.saysSoon(/with the header "x-team: blue" come here/)
    const [original] = (await bench.ask({ op: 'keptAlive', header: 'x-team', versions: ['blue'] })) as {
      name: string
    }[]
    assert.equal(original.name, 'original')
    await patient.saysSoon(/nothing listens on localhost:18099/)
    patient.signal('SIGINT')
    assert.equal(await patient.exit, 0, patient.said())
    await asBefore()

    const held = await start('mesha', [...nobody, '--no-fallback'])
    await held.saysSoon(/with the header "x-team: blue" come here/)
    const answer = await until(
      'the request comes here',
      async () => {
        const [one] = (await bench.ask({ op: 'keptAlive', header: 'x-team', versions: ['blue'] })) as {
          status?: number
          text: string
        }[]
        return one.status !== undefined && one
      },
      20_000,
    )
    assert.deepEqual(answer, {
      status: 502,
      text: 'kt: nothing accepts connections where requests with "x-team: blue" are to go\n',
    })
    held.signal('SIGINT')
    assert.equal(await held.exit, 0, held.said())
    await asBefore()
  })

  test('--mode manual changes nothing of the Service', async () => {
    const manual = await start('mesha', [
      ...['mesh', 'web', '--expose', `${LOCAL}:80`, '--mode', 'manual', '--version-mark', 'green', '-n', NAMESPACE],
    ])
    await manual.saysSoon(/kind: VirtualService/)
    assert.match(manual.said(), /web\.kt-mesh has a pod with the label version=green/)
    assert.deepEqual(bench.snapshot(), before_)
    const labels = bench.kubectl(['get', 'pods', '-l', 'app=web,version=green', '-o', 'name'])
    assert.match(labels, /^pod\/kt-shadow-/)
    // Without rules it gets its share.
    await until('a request comes here', async () => (await names(['x'])).includes('ann'), 20_000)
    manual.signal('SIGINT')
    assert.equal(await manual.exit, 0, manual.said())
    await asBefore()
  })

  test('what cannot be meshed says so', async () => {
    const machine = realMachine(program, 'mesha')
    const fails = async (words: RegExp, code: number, ...args: string[]) => {
      const { code: exit, stderr } = await machine.kt(['mesh', ...args, '-n', NAMESPACE])
      assert.match(stderr, words)
      assert.equal(exit, code, stderr)
    }
    await fails(/there is no Service "nobody"/, 1, 'nobody', '--expose', `${LOCAL}:80`)
    await fails(/has no port 99/, 1, 'web', '--expose', `${LOCAL}:99`)
    await fails(/cannot be a header/, 2, 'web', '--expose', `${LOCAL}:80`, '--version-mark', 'a b:c')
    await fails(/--expose/, 2, 'web')
    await asBefore()
  })
})
