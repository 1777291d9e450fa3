// `./dev bench forwards`: how often a port-forward through the API server fails, and how long it takes, over SPDY and over a
// WebSocket: each is opened to a pod that echoes, carries bytes there and back, and is closed. The two take turns. One table
// row for each way and number at a time, then the failures in words. Needs a cluster: of KT_TEST_CLUSTER or KUBECONFIG.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/base/clock.ts'
import { systemRandom } from '../src/base/random.ts'
import type { WebSocketTarget } from '../src/tunnel/transport/dial.ts'
import type { Path, Way } from '../src/tunnel/transport/path.ts'
import { openSpdyForward } from '../src/tunnel/transport/spdy/portforward.ts'
import { openWebSocketForward } from '../src/tunnel/transport/websocket/portforward.ts'
import { failures, quantile, type Trial, tryForward } from './forward-trial.ts'
import { table } from './measure.ts'
import { access, kubectl } from './tunnel-cluster.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000' },
    'at-once': { type: 'string', default: '1,8' },
    namespace: { type: 'string', short: 'n', default: 'shop' },
    laptop: { type: 'string', default: 'bw' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log('./dev bench forwards [--count 1000] [--at-once 1,8] [-n shop] [--laptop bw]')
  process.exit(0)
}
const INSIDE = 'KT_BENCH_INSIDE'
const program = process.env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
if (!process.env[INSIDE] && existsSync(program)) {
  // On a laptop of that cluster, where its API server can be reached.
  const words = ['laptop', '--as', values.laptop, process.execPath, import.meta.filename, ...process.argv.slice(2)]
  const env = { ...process.env, KUBECONFIG: '', [INSIDE]: '1' }
  process.exit(spawnSync(program, words, { stdio: 'inherit', env }).status ?? 1)
}
if (!process.env[INSIDE] && !process.env['KUBECONFIG']) {
  console.log(`bench: skipped: there is no cluster program (KT_TEST_CLUSTER) at ${program}, and no KUBECONFIG`)
  process.exit(0)
}

const ECHO_PORT = 7777
const TIMEOUT_MS = 15_000
/** So many of one way, then as many of the other. */
const TURN = 50
const echoServer = `const server = require('net').createServer((s) => s.on('error', () => {}).pipe(s))
server.listen(${ECHO_PORT}, '::', () => console.log('listening'))
process.on('SIGTERM', () => process.exit(0))`

const open: Record<Way, (endpoint: WebSocketTarget) => Promise<Path>> = {
  spdy: (endpoint) => openSpdyForward(endpoint, TIMEOUT_MS, undefined, systemClock),
  websocket: (endpoint) =>
    openWebSocketForward(endpoint, TIMEOUT_MS, undefined, { clock: systemClock, random: systemRandom }),
}
const ways: Way[] = ['spdy', 'websocket']
const names: Record<Way, string> = { spdy: 'SPDY', websocket: 'WebSocket' }

function startEchoPod(namespace: string, name: string): void {
  const pod = {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace } },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'echo', image: 'node:24-alpine', command: ['node', '-e', echoServer] }],
    },
  }
  kubectl(['create', '-f', '-'], JSON.stringify(pod))
  kubectl(['wait', '-n', namespace, '--for=condition=Ready', '--timeout=60s', `pod/${name}`])
  for (let i = 0; i < 50; i++) {
    if (kubectl(['logs', '-n', namespace, name]).includes('listening')) return
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  throw new Error(`pod ${name} does not listen`)
}

async function many(count: number, atOnce: number, one: () => Promise<Trial>): Promise<Trial[]> {
  const trials: Trial[] = []
  let begun = 0
  const worker = async () => {
    while (begun < count) {
      begun++
      trials.push(await one())
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return trials
}

async function main(): Promise<boolean> {
  const { server, headers, tls } = access()
  const version = (JSON.parse(kubectl(['get', '--raw', '/version'])) as { gitVersion: string }).gitVersion
  const name = `kt-bench-echo-${process.pid}`
  startEchoPod(values.namespace, name)
  try {
    const path = `/api/v1/namespaces/${values.namespace}/pods/${name}/portforward?ports=${ECHO_PORT}`
    const endpoint: WebSocketTarget = { url: server + path, headers, tls }
    const load = loadavg()[0].toFixed(1)
    const rows: string[][] = []
    const words: string[] = []
    for (const atOnce of values['at-once'].split(',').map(Number)) {
      const done: Record<Way, Trial[]> = { spdy: [], websocket: [] }
      while (done.websocket.length < Number(values.count)) {
        const turn = Math.min(TURN, Number(values.count) - done.websocket.length)
        for (const way of ways)
          done[way].push(...(await many(turn, atOnce, () => tryForward(() => open[way](endpoint)))))
      }
      for (const way of ways) {
        const good = done[way].filter(({ failure }) => !failure)
        const [opened, echoed] = [good.map(({ openMs }) => openMs), good.map(({ echoMs }) => echoMs)]
        const ms = (list: number[], share: number) => quantile(list, share).toFixed(1)
        rows.push([
          ...[version, names[way], String(atOnce), String(done[way].length)],
          String(done[way].length - good.length),
          ...[opened, echoed].flatMap((list) => [ms(list, 0.5), ms(list, 0.99)]),
        ])
        for (const text of failures(done[way])) words.push(`${names[way]}, ${atOnce} at a time: ${text}`)
      }
    }
    const head = ['Kubernetes', 'over', 'at a time', 'tried', 'failed', 'open p50, ms', 'p99', 'echo p50, ms', 'p99']
    console.log(table(head, rows))
    console.log(`Load ${load} at the start, ${loadavg()[0].toFixed(1)} at the end.`)
    for (const text of words) console.log(text)
    return words.length === 0
  } finally {
    kubectl(['delete', '-n', values.namespace, '--ignore-not-found', '--wait=false', `pod/${name}`])
  }
}

let passed = false
try {
  passed = await main()
} catch (error) {
  const { stderr, message } = error as { stderr?: string; message: string }
  console.error(`bench: ${stderr || message}`)
}
process.exit(passed ? 0 : 1)
