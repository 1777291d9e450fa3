// `./dev bench shell [--seconds S] [--rounds N]`: `kt shell` against `kt up` into the cluster, and against slirp4netns to a
// server outside, turn about on one laptop of the real cluster, all in one run. Prints a table in markdown and the ratios.
// Needs the cluster's program (KT_TEST_CLUSTER), iperf3 and slirp4netns.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { realCluster, realMachine } from '../test/support/machine.ts'
import { missing } from '../test/support/programs.ts'
import { checkout } from '../test/support/readable.ts'
import { until } from '../test/support/until.ts'
import { conditions, median, table } from './measure.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '4' }, rounds: { type: 'string', default: '3' } },
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const cluster = realCluster()
const why = 'missing' in cluster ? cluster.missing : missing('iperf3') || missing('slirp4netns')
if (why) {
  console.error(`bench: ${why}`)
  process.exit(1)
}
const { program } = cluster as { program: string }
const LAPTOP = 'shb'
const laptop = realMachine(program, LAPTOP)
const kt = join(checkout, 'bin/kt')
const OUTSIDE = '203.0.113.80'
const PORT = 18_195
/** Ports of the Service `web`: it sends for ever on one, and takes everything on the other. */
const SENDS = 19
const TAKES = 9

/** Runs as `dev`, and prints MB/s to or from a port of the cluster. */
const mover = `const [, host, port, way, s] = process.argv
const socket = require('net').connect(port, host)
const block = Buffer.alloc(1 << 20)
let bytes = 0, from
const write = () => { while (socket.write(block, () => { bytes += block.length })); socket.once('drain', write) }
socket.on('connect', () => { if (way === 'up') write() })
socket.on('data', (chunk) => { bytes += chunk.length })
setTimeout(() => { bytes = 0; from = performance.now() }, 500)
setTimeout(() => { console.log(bytes / 1e3 / (performance.now() - from)); process.exit() }, 500 + s * 1000)`
const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
const move = (way: 'down' | 'up') =>
  `${process.execPath} -e ${quote(mover)} web.shop ${way === 'down' ? SENDS : TAKES} ${way} ${seconds}`
const iperf = (way: 'down' | 'up') =>
  `iperf3 -c ${OUTSIDE} -p ${PORT} -t ${seconds} -O 0.5 -J ${way === 'down' ? '-R' : ''} |
    grep -A100 sum_received | grep -m1 bits_per_second | tr -dc '0-9.\\n' | awk '{ print $1 / 8e6 }'`

const throughKt = (command: string) => `${kt} shell -n shop -- sh -c ${quote(command)}`
const throughSlirp = (command: string) => `d=$(mktemp -d); cd $d; mkfifo ready
unshare -Urn sh -c 'echo $$ > pid; read _ < ready; ${command.replaceAll("'", `'\\''`)}' & child=$!
until [ -s pid ]; do sleep 0.05; done
slirp4netns --configure --mtu=65520 $(cat pid) tap0 > log 2>&1 & slirp=$!
until grep -q 'sent tapfd' log; do sleep 0.05; done; sleep 0.3; echo > ready
wait $child; kill $slirp; rm -r $d`

async function measure(script: string): Promise<number> {
  const { stdout, stderr } = await laptop.run(['sh', '-c', script], { timeoutMs: 60_000 })
  const speed = Number(stdout.trim().split('\n').at(-1))
  if (!(speed > 0)) throw new Error(`no figure: ${stdout} ${stderr}`)
  return speed
}

const ways = ['down', 'up'] as const
const seen = new Map<string, number[]>()
const note = (what: string, value: number) => {
  seen.set(what, [...(seen.get(what) ?? []), value])
  console.error(`  ${what}: ${value.toFixed(0)} MB/s`)
}

let server: ChildProcess | undefined
console.log(conditions())
try {
  server = spawn(program, ['in', 'world', 'iperf3', '-s', '-p', String(PORT)], { stdio: 'ignore' })
  await until('the server outside listens', () =>
    laptop.probe('tcp', { host: OUTSIDE, port: PORT }).then(({ error }) => !error),
  )
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) {
      note(`cluster ${way}, kt shell`, await measure(throughKt(move(way))))
      const up = await laptop.kt(['up', '-n', 'shop'], { sudo: true })
      if (up.code !== 0) throw new Error(up.stderr)
      note(`cluster ${way}, kt up`, await measure(move(way)))
      await laptop.kt(['down'], { sudo: true })
      note(`outside ${way}, kt shell`, await measure(throughKt(iperf(way))))
      note(`outside ${way}, slirp4netns`, await measure(throughSlirp(iperf(way))))
    }
  }
} finally {
  server?.kill()
}
const of = (what: string) => median(seen.get(what) ?? [])
const rows = ways.flatMap((way) => [
  [`into the cluster, ${way}`, of(`cluster ${way}, kt shell`), 'kt up', of(`cluster ${way}, kt up`)],
  [`outside, ${way}`, of(`outside ${way}, kt shell`), 'slirp4netns', of(`outside ${way}, slirp4netns`)],
])
const withRatio = rows.map((row) => [...row, ((row[1] as number) / (row[3] as number)).toFixed(2)])
console.log(table(['', 'kt shell, MB/s', 'against', 'MB/s', 'ratio'], withRatio))
process.exit(0)
