// The chaos of what comes to a laptop: an exchange or a mesh is held there, a connection through it is open in the cluster
// and new ones come all the time, and the laptop is cut off for a while.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ExchangeBench } from '../support/exchange-bench.ts'
import { type Holding, startHolding } from '../support/holding.ts'
import { until } from '../support/until.ts'
import { seconds, type World } from './world.ts'

const HTTP = 18080
const ECHO = 18007
const VERSION = 'chaos'
const BEFORE_S = 3
/** Cutting a line and mending it takes seconds on a busy machine. */
const AFTER_S = 12
/** A new connection is passed to the original when the laptop has not taken it within a second. */
const SWITCH_MS = 4_000

export interface InboundOutcome {
  gapMs: number
  wrong: string[]
  /** New requests during the cut, and those that nobody answered. */
  asked: number
  failed: number
}

interface PodReport {
  sent: number
  times: number[]
  error?: string
  /** New requests: when they began, and who answered (`here`, `original`, `failed CODE`). */
  fresh: { at: number; who: string }[]
}

interface Question {
  /** The Service's address. */
  host: string
  kind: 'exchange' | 'mesh'
  ms: number
}

/** On the laptop: HTTP that says `here`, or sends back what comes (`/echo`); TCP that echoes. */
const local = `
require('node:http').createServer((q, s) => {
  s.on('error', () => {})
  q.on('error', () => {})
  if (q.url !== '/echo') return void s.end('here')
  s.flushHeaders()
  q.pipe(s)
}).listen(${HTTP}, '::')
require('node:net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(${ECHO}, '::', () => console.log('listening ' + process.pid))
`

/** In a pod, for so many seconds: a numbered echo every 100 ms on one connection, and a new request every 250 ms. */
const inPod = `
const http = require('node:http'), net = require('node:net')
const { host, kind, ms } = JSON.parse(process.argv[1])
const headers = kind === 'mesh' ? { 'kt-version': '${VERSION}' } : {}
const report = { sent: 0, times: [], fresh: [] }
let text = ''
const take = (d) => {
  text += d
  for (let end = text.indexOf('\\n'); end >= 0; end = text.indexOf('\\n')) {
    if (Number(text.slice(0, end)) !== report.times.length) report.error ??= 'out of order'
    text = text.slice(end + 1)
    report.times.push(Date.now())
  }
}
const fail = (why) => (report.error ??= why)
const flow = kind === 'mesh'
  ? http.request({ host, port: 80, path: '/echo', method: 'POST', headers, agent: false }, (a) => a.on('data', take).on('error', (e) => fail(e.code)).on('end', () => fail('ended')))
  : net.connect(7, host).on('data', take).on('close', () => fail('closed'))
flow.on('error', (e) => fail(e.code))
setInterval(() => flow.write(report.sent++ + '\\n'), 100)
setInterval(() => {
  const one = { at: Date.now(), who: 'nobody' }
  report.fresh.push(one)
  http.get({ host, port: 80, headers, agent: false, timeout: 5000 }, (a) => {
    let said = ''
    a.on('data', (d) => (said += d)).on('error', (e) => (one.who = 'failed ' + e.code)).on('end', () => (one.who = said.split(/[- ]/)[0]))
  }).on('timeout', function () { this.destroy(new Error('timeout')) }).on('error', (e) => (one.who = 'failed ' + (e.code ?? e.message)))
}, 250)
setTimeout(() => process.stdout.write(JSON.stringify(report) + '\\n', () => process.exit(0)), ms)
`

export async function inboundCut(world: World, kind: 'exchange' | 'mesh', cutS: number): Promise<InboundOutcome> {
  const bench = new ExchangeBench(world.program, 'kt-chaos', world.laptop)
  let held: Holding | undefined
  let stopLocal = () => {}
  let isCut = false
  try {
    bench.start()
    stopLocal = await startLocal(world)
    const version = kind === 'mesh' ? ['--version-mark', `kt-version:${VERSION}`] : []
    const ports = kind === 'mesh' ? `${HTTP}:80` : `${HTTP}:80,${ECHO}:7`
    held = await startHolding(world.program, world.laptop, [
      kind,
      'web',
      '-n',
      'kt-chaos',
      '--expose',
      ports,
      ...version,
    ])
    await held.saysSoon(/^requests/m)
    // By address: the cluster's DNS tells for half a minute the one that the name had in a run before.
    const host = bench.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    const report = askInPod(world, bench.namespace, { host, kind, ms: (BEFORE_S + cutS + AFTER_S) * 1000 })
    await seconds(BEFORE_S)
    isCut = true
    const cutting = Date.now()
    world.wan('loss=100')
    const began = Date.now()
    await seconds(cutS)
    world.wan('off')
    isCut = false
    const ended = Date.now()
    return judge(await report, cutting, began, ended)
  } finally {
    if (isCut) world.wan('off')
    held?.signal('SIGINT')
    await held?.exit
    stopLocal()
    bench.stop()
  }
}

/** The cut was asked for at `cutting` and was there at `began`. */
function judge(
  { sent, times, error, fresh }: PodReport,
  cutting: number,
  began: number,
  ended: number,
): InboundOutcome {
  const wrong: string[] = []
  const astray = fresh.find(({ at, who }) => at < cutting - 1_000 && who !== 'here')
  if (astray) wrong.push(`before the cut, a new request: ${astray.who}`)
  if (error) wrong.push(`the connection: ${error}`)
  if (times.length < sent - 2) wrong.push(`${sent} echoes were sent, ${times.length} came`)
  const during = fresh.filter(({ at }) => at > began + SWITCH_MS && at < ended - 1_000)
  const elsewhere = during.filter(({ who }) => who !== 'original')
  if (elsewhere.length > 0) wrong.push(`${elsewhere.length} of ${during.length} new requests: ${elsewhere[0].who}`)
  if (fresh.at(-10)?.who !== 'here') wrong.push('new requests do not come here again')
  const gapMs = (times.find((time) => time >= ended) ?? Number.POSITIVE_INFINITY) - ended
  const cut = fresh.filter(({ at }) => at > began && at < ended)
  return { gapMs, wrong, asked: cut.length, failed: cut.filter(({ who }) => who.startsWith('failed')).length }
}

async function startLocal(world: World): Promise<() => void> {
  const words = ['laptop', '--as', world.laptop, process.execPath, '-e', local]
  const child = spawn(world.program, words, { stdio: ['ignore', 'pipe', 'ignore'] })
  child.on('error', () => {})
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [, pid] = await until('the local program listens', () => /listening (\d+)/.exec(said) ?? undefined, 20_000)
  return () => void process.kill(Number(pid), 'SIGTERM')
}

async function askInPod(world: World, namespace: string, question: Question): Promise<PodReport> {
  const words = ['kubectl', '-n', namespace, 'exec', 'caller', '--', 'node', '-e', inPod, JSON.stringify(question)]
  const child = spawn(world.program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  await once(child, 'close')
  const line = said.split('\n').find((one) => one.startsWith('{'))
  if (!line) throw new Error(`the pod said nothing: ${complaint}`)
  return JSON.parse(line) as PodReport
}
