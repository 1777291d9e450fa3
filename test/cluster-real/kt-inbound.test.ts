// `kt exchange` and `kt run` on a real cluster, while a pod asks the Service 50 times a second: who is answered by whom,
// that nobody is failed, and that everything is as it was when it ends, however it ends.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import type { List } from '../../src/cli/targets-table.ts'
import type { RequestReport } from '../../src/control/views.ts'
import { ExchangeBench } from '../support/exchange-bench.ts'
import { type Holding, startHolding } from '../support/holding.ts'
import { realCluster, realMachine } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const NAMESPACE = 'kt-back'
const LAPTOP = 'back'
const HTTP = 18080
const ECHO = 18007
const CLOSED = 18099
const BODY = Number(process.env['KT_TEST_BODY_MB'] ?? 100) * 1_000_000

describe('the way back', { skip }, () => {
  const bench = new ExchangeBench(program, NAMESPACE, LAPTOP)
  const laptop = realMachine(program, LAPTOP)
  const firstServed: number[] = []
  let specBefore: object
  let stopLocal: () => void

  const running = new Set<Holding>()
  const start = async (...args: string[]) => {
    const held = await startHolding(program, LAPTOP, [...args, '-n', NAMESPACE])
    running.add(held)
    void held.exit.then(() => running.delete(held))
    return held
  }
  // What a failed test has left, so that the next one begins from nothing.
  afterEach(async () => {
    for (const held of running) {
      held.signal('SIGTERM')
      await held.exit
    }
  })
  /** One that is active; remembers how long it took from the command to the first request served here. */
  const exchange = async (...args: string[]): Promise<Holding> => {
    const began = Date.now()
    const held = await start('exchange', 'web', ...args)
    await held.saysSoon(/^requests to web\.kt-back come here: /m)
    const served = await until('a request is served here', () => bench.firstAnswer('here', began), 20_000)
    firstServed.push(served.at - began)
    return held
  }
  const end = async (held: Holding, signal: NodeJS.Signals = 'SIGINT') => {
    held.signal(signal)
    assert.equal(await held.exit, 0, held.said())
  }
  const asBefore = async () => {
    assert.deepEqual(bench.snapshot(), specBefore)
    // The garbage collector takes what is owned by the Job a moment later.
    await until('nothing of kt remains', () => bench.remains().length === 0, 20_000).catch(() =>
      assert.deepEqual(bench.remains(), []),
    )
  }
  const web = { host: `web.${NAMESPACE}`, port: 80 }

  before(async () => {
    bench.start()
    stopLocal = await bench.startLocal(HTTP, ECHO)
    specBefore = bench.snapshot()
    await until('the original answers', () => bench.firstAnswer('original', 0), 30_000)
  })
  after(() => {
    if (skip) return
    const sorted = firstServed.map((ms) => ms / 1000).sort((a, b) => a - b)
    console.log(
      `seconds from the command to the first request served here: median ${sorted[sorted.length >> 1]?.toFixed(2)} of ${sorted.length} (${sorted.map((s) => s.toFixed(2)).join(', ')}); mark 3`,
    )
    bench.stop()
    stopLocal?.()
  })

  test('under 50 requests a second nobody is failed, neither when it begins nor when it is left; --log tells each', async () => {
    const began = Date.now()
    const held = await exchange('--expose', `${HTTP}:80`, '--log=json')
    assert.match(held.said(), /80 -> localhost:18080\. Ctrl-C ends it and puts everything back\./)
    // What is not exposed stays with the original.
    assert.match(String((await bench.ask({ op: 'get', host: web.host, port: 81 })).text), /^original-/)
    assert.equal((await bench.ask({ op: 'echo', host: web.host, port: 7, bytes: 1000 })).equal, true)
    await held.saysSoon(/^\{"seq":20,/m)
    const list = JSON.parse((await laptop.kt(['list', '-n', NAMESPACE, '--json'])).stdout) as List
    const listed = list.targets.find(({ name }) => name === 'web')!
    assert.deepEqual(
      [listed.held.map(({ kind }) => kind), list.here.map(({ target }) => target)],
      [['exchange'], ['web']],
    )
    assert.ok(!list.targets.some(({ name }) => name.includes('kt-original')))
    const left = Date.now()
    await end(held)
    await until('the original answers again', () => bench.firstAnswer('original', left), 20_000)
    await asBefore()
    await new Promise((resolve) => setTimeout(resolve, 1_000)) // what fails after the end fails within moments
    assert.deepEqual(bench.failures(began), [])
    const requests = held
      .said()
      .split('\n')
      .filter((line) => line.startsWith('{"seq"'))
      .map((line) => JSON.parse(line) as RequestReport)
    const answered = requests.filter(({ outcome }) => outcome === 'answered')
    assert.ok(answered.length >= 20)
    for (const { method, status, remote, pod } of answered)
      assert.deepEqual([method, status, remote, pod?.namespace], ['GET', 200, 80, NAMESPACE])
  })

  test('in the background: several ports, UDP, large bodies, 200 at once; status lists it, kt leave ends it', async () => {
    const began = Date.now()
    const command = [
      'exchange',
      'web',
      '-n',
      NAMESPACE,
      '--background',
      '--expose',
      `${HTTP}:80,${ECHO}:7,${ECHO}:7/udp`,
    ]
    const { code, stderr } = await laptop.kt(command)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /`\S*kt leave web -n kt-back` ends it/)
    firstServed.push((await until('served here', () => bench.firstAnswer('here', began), 20_000)).at - began)
    try {
      const status = await laptop.kt(['status', '--json'])
      assert.equal(status.code, 3)
      const { state, exchanges } = JSON.parse(status.stdout)
      assert.equal(state, 'disconnected')
      assert.deepEqual(
        exchanges.map((one: Record<string, unknown>) => [one['kind'], one['target'], one['namespace'], one['state']]),
        [['exchange', 'web', NAMESPACE, 'active']],
      )
      assert.match((await laptop.kt(['status'])).stdout, /web\.kt-back {2}80 -> localhost:18080/)

      const again = await laptop.kt(['exchange', 'web', '-n', NAMESPACE, '--expose', `${HTTP}:80`])
      assert.equal(again.code, 1, again.stderr)
      assert.match(again.stderr, /web .*dev@.* since/)

      const many = await bench.ask({ op: 'many', host: web.host, port: 7, count: 200 })
      assert.equal(many['echoed'], 200, JSON.stringify(many))
      assert.equal((await bench.ask({ op: 'echo', host: web.host, port: 7, bytes: 5_000_000 })).equal, true)
      assert.match(String((await bench.ask({ op: 'udp', host: web.host, port: 7 })).text), /^here ping/)
      const down = await bench.ask({ op: 'get', ...web, path: `/${BODY}` })
      assert.deepEqual([down['bytes'], down['equal']], [BODY, true], JSON.stringify(down))
      const up = await bench.ask({ op: 'put', ...web, bytes: BODY })
      assert.deepEqual([up['equal'], up.text], [true, 'here'], JSON.stringify(up))
      console.log(
        `a body of ${BODY / 1e6} MB through exchange: ${(BODY / 1000 / down.ms).toFixed(0)} MB/s from here, ${(BODY / 1000 / up.ms).toFixed(0)} MB/s to here`,
      )
    } finally {
      const left = await laptop.kt(['leave', 'web'])
      assert.equal(left.code, 0, left.stderr)
    }
    await asBefore()
    assert.deepEqual(JSON.parse((await laptop.kt(['status', '--json'])).stdout).exchanges, [])
    const nothing = await laptop.kt(['leave', 'web'])
    assert.equal(nothing.code, 1)
    assert.match(nothing.stderr, /nothing of yours on this machine holds web/)
  })

  test('a local program that is not there: the original serves, with --no-fallback callers are refused, and it is said once', async () => {
    const refused = ['ECONNRESET', 'ECONNREFUSED']
    for (const fallback of [true, false]) {
      const flags = fallback ? [] : ['--no-fallback']
      const held = await start('exchange', 'web', '--no-check', '--expose', `${CLOSED}:80`, ...flags)
      await held.saysSoon(/^requests to web/m)
      await held.saysSoon(/nothing listens on localhost:18099/, 20_000)
      const { text = '', error } = await bench.ask({ op: 'get', ...web })
      if (fallback) assert.match(text, /^original/)
      else assert.ok(refused.includes(error!), `${error}`)
      assert.equal(held.said().match(/nothing listens on localhost:18099/g)?.length, 1, held.said())
      await end(held, 'SIGTERM')
      await asBefore()
    }
  })

  test('SIGKILL of everything: the original answers, and kt recover puts it back', async () => {
    const held = await exchange('--expose', `${HTTP}:80`)
    const { exchanges } = JSON.parse((await laptop.kt(['status', '--json'])).stdout)
    // The command first: when only its holder is gone, it puts everything back.
    held.signal('SIGKILL')
    process.kill(exchanges[0].pid, 'SIGKILL')
    const killed = Date.now()
    await until('the original answers', () => bench.firstAnswer('original', killed), 20_000)
    assert.notDeepEqual(bench.snapshot(), specBefore)
    const recovered = await laptop.kt(['recover', 'web', '-n', NAMESPACE])
    assert.equal(recovered.code, 0, recovered.stderr)
    assert.match(recovered.stdout, /put back: .*web/)
    await asBefore()
  })

  test('a shadow that is evicted costs no request, one that is killed less than a second of them', async () => {
    const held = await exchange('--expose', `${HTTP}:80`)
    const pods = () =>
      (
        JSON.parse(bench.kubectl(['get', 'pods', '-l', 'kt/exchange', '-o', 'json'])).items as {
          metadata: { name: string; deletionTimestamp?: string }
          status: { conditions?: { type: string; status: string }[] }
        }[]
      ).filter(
        ({ metadata, status }) =>
          !metadata.deletionTimestamp &&
          status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
      )
    for (const [how, most] of [
      [[], 0],
      [['--grace-period=0', '--force'], 50],
    ] as const) {
      const [victim] = await until('there are two', () => (pods().length === 2 ? pods() : undefined), 60_000)
      const began = Date.now()
      bench.kubectl(['delete', 'pod', victim.metadata.name, '--wait=false', ...how])
      await until(
        'there are two again',
        () => {
          const now = pods()
          return now.length === 2 && now.every(({ metadata }) => metadata.name !== victim.metadata.name)
        },
        60_000,
      )
      const failed = bench.failures(began)
      assert.ok(
        failed.length <= most,
        `${how.join(' ')}: ${failed.length} failed: ${JSON.stringify(failed.slice(0, 5))}`,
      )
    }
    assert.doesNotMatch(held.said(), /the connection to the cluster is lost/)
    await end(held)
    await asBefore()
  })

  test('Ctrl-C at any moment of the start, and twice, leaves everything as it was', async () => {
    for (const [ms, signal] of [
      [300, 'SIGINT'],
      [1_200, 'SIGHUP'],
      [1_900, 'SIGINT'],
      [2_500, 'SIGTERM'],
    ] as const) {
      const held = await start('exchange', 'web', '--expose', `${HTTP}:80`)
      await new Promise((resolve) => setTimeout(resolve, ms))
      held.signal(signal)
      await new Promise((resolve) => setTimeout(resolve, 200))
      held.signal(signal)
      const code = await held.exit
      // On a slow machine the first comes before kt has done anything, and simply ends it: 128 and the signal's number.
      assert.ok([0, 1, 128 + 1, 128 + 2, 128 + 15].includes(code ?? 130), `${code}: ${held.said()}`)
      assert.deepEqual(bench.snapshot(), specBefore, `after ${ms} ms: ${held.said()}`)
    }
    await asBefore()
  })

  test('run: a new Service that leads here, and is gone at the end', async () => {
    const taken = await laptop.kt(['run', 'web', '-n', NAMESPACE, '--port', String(HTTP)])
    assert.equal(taken.code, 1)
    assert.match(taken.stderr, /there is a Service web already/)
    const held = await start('run', 'mine', '--expose', `${HTTP}:80`)
    await held.saysSoon(/^requests to mine\.kt-back come here: 80 -> localhost:18080\./m)
    // Whoever asks for the name before CoreDNS has heard of it gets its NXDOMAIN for 30 s.
    const answer = () => bench.ask({ op: 'get', host: `mine.${NAMESPACE}`, port: 80 }).then(({ text }) => String(text))
    await until('answered here', async () => (await answer()).startsWith('here'), 60_000)
    await end(held)
    assert.equal(bench.kubectl(['get', 'service', 'mine', '--ignore-not-found', '-o', 'name']), '')
    await asBefore()
  })

  test('each mistake has an error of its own, two lines, and changes nothing', async () => {
    bench.apply(
      bench.service('bare', undefined, [{ port: 80 }]),
      bench.service('elsewhere', undefined, [], { type: 'ExternalName', externalName: 'www.example.com' }),
    )
    for (const [args, exit, message] of [
      [['nobody', '--expose', `${HTTP}:80`], 1, /there is no .*"nobody".* in namespace kt-back/],
      [['web', '--expose', `${HTTP}:80`, '--namespace', 'nosuch'], 1, /there is no namespace "nosuch"/],
      [['host/web', '--expose', `${CLOSED}:80`], 1, /"host\/web" is no target/],
      [['web', '--expose', `${HTTP}:88`], 1, /web has no port 88/],
      [['web', '--expose', `${CLOSED}:80`], 1, /nothing listens on localhost:18099/],
      [['web', '--expose', `${HTTP}:80,${ECHO}:80`], 2, /port 80 is exposed twice/],
      [['web', '--expose', 'eighty'], 2, /expected LOCAL\[:REMOTE\]/],
      [['web'], 2, /which port of this machine answers/],
      [['bare', '--expose', `${HTTP}:80`], 1, /bare .*selector/],
      [['elsewhere', '--expose', `${HTTP}:80`], 1, /elsewhere is an ExternalName|ExternalName.*elsewhere/],
    ] as const) {
      const { code, stderr } = await laptop.kt(['exchange', '-n', NAMESPACE, ...args])
      assert.equal(code, exit, `${args.join(' ')}: ${stderr}`)
      assert.match(stderr, message)
      assert.match(stderr, /error: .+\n {7}.+\n$/, args.join(' '))
    }
    bench.kubectl(['delete', 'service', 'bare', 'elsewhere'])
    await asBefore()
  })
})
