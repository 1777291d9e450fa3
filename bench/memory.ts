// `./dev bench memory`: resident memory of both processes at rest, after 2 GB uploaded to a server that reads slowly, and
// with connections idle. Needs the real cluster, as bench/cluster.ts does.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { megabytes: { type: 'string', default: '2000' }, flows: { type: 'string', default: '2000' } },
})
const cluster = process.env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
if (!existsSync(cluster)) {
  console.log(`bench: skipped: there is no cluster program (KT_TEST_CLUSTER) at ${cluster}`)
  process.exit(0)
}
const laptop = (...command: string[]) =>
  execFileSync(cluster, ['laptop', '--as', 'bm', ...command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const kt = resolve('bin/kt')
const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))

/** Reads 40 MB/s at most; listens in a pod of the cluster. */
const slowServer = `require('net').createServer((s) => {
  s.on('error', () => {})
  s.on('data', (d) => { s.pause(); setTimeout(() => s.resume(), d.length / 40000) })
}).listen(9999, '::')`
const idleClients = (host: string, count: number) => `const net = require('net')
let open = 0
for (let i = 0; i < ${count}; i++) net.connect(7, '${host}', () => { if (++open === ${count}) console.log('open') }).on('error', (e) => console.log(e.code))
setTimeout(() => process.exit(0), 20000)`
const upload = (host: string, megabytes: number) => `const s = require('net').connect(9999, '${host}')
const block = Buffer.alloc(1e6, 'y')
let left = ${megabytes}
const more = () => { while (left-- > 0) if (!s.write(block)) return s.once('drain', more); s.end() }
s.on('connect', more).on('close', () => process.exit(0)).resume()`

laptop(kt, 'down')
laptop(kt, 'up', '-n', 'shop')
const server = spawn(cluster, ['kubectl', '-n', 'shop', 'exec', 'db-0', '--', 'node', '-e', slowServer], {
  stdio: 'ignore',
})
try {
  const engine = JSON.parse(laptop(kt, 'status', '--json')).pid as number
  const helper = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${engine}/status`, 'utf8'))![1])
  const rss = () => {
    const of = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1000
    return { engine: Math.round(of(engine)), helper: Math.round(of(helper)), both: Math.round(of(engine) + of(helper)) }
  }
  const say = (what: string) => console.log(what.padEnd(40), JSON.stringify(rss()), 'MB')
  await sleep(15_000)
  say('at rest, 15 s after kt up')
  const idle = spawn(
    cluster,
    ['laptop', '--as', 'bm', process.execPath, '-e', idleClients('web.shop', Number(values.flows))],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await new Promise((r) => idle.stdout.once('data', r))
  await sleep(2_000)
  say(`${values.flows} idle connections`)
  await new Promise((r) => idle.once('close', r))
  await sleep(3_000)
  say('after them')
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, rss().both)
  }, 200)
  const began = performance.now()
  const sender = spawn(
    cluster,
    ['laptop', '--as', 'bm', process.execPath, '-e', upload('db-0.db.shop', Number(values.megabytes))],
    { stdio: 'ignore' },
  )
  await new Promise((r) => sender.once('close', r))
  clearInterval(watch)
  say(
    `after ${values.megabytes} MB to a slow reader (${Math.round((performance.now() - began) / 1000)} s, peak ${peak} MB)`,
  )
} finally {
  server.kill()
  laptop(kt, 'down')
}
