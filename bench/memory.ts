// `./dev bench memory`: resident memory of both processes at rest and with connections idle, what kt does when nobody uses
// it (CPU, bytes on the line to the cluster), and its memory after an upload to a server that reads slowly. Needs the real cluster.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { conditions, table } from './measure.ts'

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '2000' },
    flows: { type: 'string', default: '1000,10000' },
    idle: { type: 'string', default: '20' },
    laptop: { type: 'string', default: 'bm' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log(
    './dev bench memory [--flows 1000,10000] [--idle SECONDS] [--megabytes 2000 (0: none)] [--laptop bm] [--json]',
  )
  process.exit(0)
}
const cluster = process.env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
if (!existsSync(cluster)) {
  console.log(`bench: skipped: there is no cluster program (KT_TEST_CLUSTER) at ${cluster}`)
  process.exit(0)
}
const onLaptop = ['laptop', '--as', values.laptop]
const laptop = (...command: string[]) =>
  execFileSync(cluster, [...onLaptop, ...command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  })
const kt = resolve('bin/kt')
const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))

/** Reads 40 MB/s at most; listens in a pod of the cluster. */
const slowServer = `require('net').createServer((s) => {
  s.on('error', () => {})
  s.on('data', (d) => { s.pause(); setTimeout(() => s.resume(), d.length / 40000) })
}).listen(9999, '::')`
// At most so many dials at a time: the server's queue of connections is short. Two ports, so that the ephemeral ports suffice for 50,000.
const idleClients = (host: string, count: number) => `const net = require('net')
let open = 0, next = 0, failed = 0
const one = () => {
  if (next === ${count}) return
  const s = net.connect([7, 9][next++ % 2], '${host}', () => { open++; tell(); one() })
  s.on('error', () => { failed++; tell(); one() })
}
const tell = () => { if (open + failed === ${count}) console.log(open + ' ' + failed) }
for (let i = 0; i < 64; i++) one()
process.stdin.on('end', () => process.exit(0)).resume()`
const upload = (host: string, megabytes: number) => `const s = require('net').connect(9999, '${host}')
const block = Buffer.alloc(1e6, 'y')
let left = ${megabytes}
const more = () => { while (left-- > 0) if (!s.write(block)) return s.once('drain', more); s.end() }
s.on('connect', more).on('close', () => process.exit(0)).resume()`

/** Clock ticks of CPU that a process has used (proc(5), fields 14 and 15; 100 a second on Linux). */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Bytes sent and received by the engine's connections to the API server, as the kernel counts them. */
function lineBytes(pid: number): number {
  const sockets = laptop('ss', '-tinpH').split(/\n(?=\S)/)
  const field = (text: string, name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(text)?.[1] ?? 0)
  return sockets
    .filter((text) => text.includes(`pid=${pid},`))
    .reduce((sum, text) => sum + field(text, 'bytes_sent') + field(text, 'bytes_received'), 0)
}

const where = conditions()
const rows: { what: string; engine: number; helper: number; more: string }[] = []
laptop(kt, 'down')
laptop(kt, 'up', '-n', 'shop')
let server: ReturnType<typeof spawn> | undefined
try {
  const engine = JSON.parse(laptop(kt, 'status', '--json')).pid as number
  const helper = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${engine}/status`, 'utf8'))![1])
  const resident = (pid: number) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1000
  const both = () => resident(engine) + resident(helper)
  const note = (what: string, more = '') =>
    rows.push({ what, engine: resident(engine), helper: resident(helper), more })

  await sleep(15_000)
  note('at rest, 15 s after kt up')
  const rest = both()

  const seconds = Number(values.idle)
  const before = { ticks: ticks(engine) + ticks(helper), bytes: lineBytes(engine) }
  await sleep(seconds * 1000)
  const busy = (ticks(engine) + ticks(helper) - before.ticks) / seconds // percent: 100 ticks a second
  const bytes = (lineBytes(engine) - before.bytes) / seconds
  note(`idle for ${seconds} s`, `${busy.toFixed(2)} % of a core, ${Math.round(bytes)} bytes a second on the line`)

  for (const count of values.flows.split(',').map(Number)) {
    const began = performance.now()
    const clients = spawn(
      cluster,
      [
        ...onLaptop,
        'sh',
        '-c',
        `ulimit -n $(ulimit -Hn); exec ${process.execPath} -e "$0"`,
        idleClients('web.shop', count),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    const limit = setTimeout(() => clients.kill(), 120_000)
    const said = await new Promise<string>((r) => {
      clients.stdout.once('data', (data) => r(String(data)))
      clients.once('exit', () => r('0 all'))
    })
    clearTimeout(limit)
    const took = (performance.now() - began) / 1000
    await sleep(2_000)
    const [open, failed] = said.trim().split(' ')
    const each = ((both() - rest) * 1000) / count
    note(
      `${count.toLocaleString('en')} idle connections`,
      `${open} open, ${failed} failed after ${took.toFixed(1)} s; ${each.toFixed(1)} KB each`,
    )
    clients.stdin.end()
    if (clients.exitCode === null) await new Promise((r) => clients.once('close', r))
    await sleep(3_000)
    note('3 s after them')
  }

  if (Number(values.megabytes) > 0) {
    server = spawn(cluster, ['kubectl', '-n', 'shop', 'exec', 'db-0', '--', 'node', '-e', slowServer], {
      stdio: 'ignore',
    })
    await sleep(2_000)
    let peak = 0
    const watch = setInterval(() => {
      peak = Math.max(peak, both())
    }, 200)
    const began = performance.now()
    const sender = spawn(
      cluster,
      [...onLaptop, process.execPath, '-e', upload('db-0.db.shop', Number(values.megabytes))],
      { stdio: 'ignore' },
    )
    const limit = setTimeout(() => sender.kill(), 300_000)
    await new Promise((r) => sender.once('close', r))
    clearTimeout(limit)
    clearInterval(watch)
    const took = Math.round((performance.now() - began) / 1000)
    note(`after ${values.megabytes} MB to a slow reader`, `${took} s, peak ${Math.round(peak)} MB`)
  }
} finally {
  server?.kill()
  laptop(kt, 'down')
}
if (values.json) console.log(JSON.stringify({ where, rows }))
else {
  const mb = (value: number) => String(Math.round(value))
  console.log(`${where}\n`)
  console.log(
    table(
      ['resident memory, MB', 'engine', 'helper', 'both', ''],
      rows.map((row) => [row.what, mb(row.engine), mb(row.helper), mb(row.engine + row.helper), row.more]),
    ),
  )
}
