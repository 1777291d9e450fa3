// `./dev bench dns`: names through kt on a laptop of the real cluster against CoreDNS asked from a node, by dnsperf, turn
// about: one name, 10,000 names that kt has in its cache, and names that nobody has asked for. `--server` measures the
// DNS server alone, in this process (bench/dns-server.ts); that is also what happens where there is no cluster.
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { conditions, figure, median, table } from './measure.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    names: { type: 'string', default: '30000' },
    outstanding: { type: 'string', default: '200' },
    laptop: { type: 'string', default: 'bdns' },
    server: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
const usage =
  './dev bench dns [--rounds 3] [--names 30000] [--outstanding 200] [--laptop bdns] [--json]\n' +
  './dev bench dns --server: the DNS server alone, in memory'
const cluster = process.env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
const kt = resolve('bin/kt')
const run = promisify(execFile)
/** No run takes longer, whatever happens. */
const LIMIT_S = 20

if (values.help) console.log(usage)
else if (values.server || !existsSync(cluster)) {
  if (!values.server)
    console.log(`bench: there is no cluster program (KT_TEST_CLUSTER) at ${cluster}; the server alone:`)
  await import('./dns-server.ts')
} else await overCluster()

interface Outcome {
  perSecond: number
  lost: number
  /** Average, in milliseconds. */
  latency: number
}

interface Side {
  name: string
  /** Words before a program that is to run there. */
  where: string[]
  server: string
}

/** Names that exist in every cluster with CoreDNS's usual `pods insecure`: an address, spelled. Different for each `series`. */
function podNames(series: number, count: number): string {
  const lines: string[] = []
  for (let i = 0; i < count; i++) {
    const n = series * 65536 * 4 + i
    const octets = [10, (n >> 16) & 255, (n >> 8) & 255, n & 255]
    lines.push(`${octets.join('-')}.shop.pod.cluster.local A`)
  }
  return `${lines.join('\n')}\n`
}

async function dnsperf(side: Side, file: string, ...how: string[]): Promise<Outcome> {
  const words = ['dnsperf', '-s', side.server, '-d', file, '-q', values.outstanding, '-c', '4', ...how]
  const { stdout } = await run(cluster, [...side.where, ...words], {
    timeout: (LIMIT_S + 40) * 1000,
    maxBuffer: 1 << 24,
  })
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? Number.NaN)
  const codes = /Response codes:\s+(.*)/.exec(stdout)?.[1] ?? ''
  if (!/^NOERROR \d+ \(100\.00%\)/.test(codes)) console.error(`${side.name}: not all was answered well: ${codes}`)
  return {
    perSecond: number(/Queries per second:\s+([\d.]+)/),
    lost: number(/Queries lost:\s+(\d+)/),
    latency: number(/Average Latency \(s\):\s+([\d.]+)/) * 1000,
  }
}

async function overCluster(): Promise<void> {
  const where = conditions()
  const laptop = ['laptop', '--as', values.laptop]
  const onLaptop = (...words: string[]) =>
    execFileSync(cluster, [...laptop, ...words], {
      encoding: 'utf8',
      timeout: 120_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const resolver = execFileSync(
    cluster,
    ['kubectl', '-n', 'kube-system', 'get', 'service', 'kube-dns', '-o', 'jsonpath={.spec.clusterIP}'],
    { encoding: 'utf8' },
  ).trim()
  const folder = mkdtempSync(join(tmpdir(), 'kt-bench-'))
  const write = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  // Not those of the last time: CoreDNS would have them.
  let series = Math.floor(Math.random() * 60)
  onLaptop(kt, 'down')
  try {
    onLaptop(kt, 'up', '-n', 'shop')
    const [server] = JSON.parse(onLaptop(kt, 'status', '--json')).dns.servers as string[]
    const sides: Side[] = [
      { name: 'kt', where: laptop, server },
      { name: 'CoreDNS', where: ['in', 'node1'], server: resolver },
    ]
    const one = write('one', 'web.shop.svc.cluster.local A\n')
    const many = write('many', podNames(63, 10_000))
    const works: { name: string; of: (side: Side) => Promise<Outcome> }[] = [
      { name: 'one name', of: (side) => dnsperf(side, one, '-l', '3') },
      {
        name: '10,000 names, asked before',
        of: async (side) => {
          // Once more, since CoreDNS gives them 30 s, which the other works take.
          await dnsperf(side, many, '-n', '1', '-l', `${LIMIT_S}`)
          return dnsperf(side, many, '-l', '3')
        },
      },
      {
        name: `${Number(values.names).toLocaleString('en')} names, each once`,
        of: (side) =>
          dnsperf(side, write('new', podNames(series++ % 63, Number(values.names))), '-n', '1', '-l', `${LIMIT_S}`),
      },
    ]
    const results = new Map<string, Outcome[]>()
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const work of works) {
        for (const side of round % 2 ? [...sides].reverse() : sides) {
          const key = `${work.name}\t${side.name}`
          results.set(key, [...(results.get(key) ?? []), await work.of(side)])
        }
      }
    }
    const of = (work: string, side: string, what: keyof Outcome) =>
      median(results.get(`${work}\t${side}`)!.map((outcome) => outcome[what]))
    const worst = (work: string) => Math.max(...results.get(`${work}\tkt`)!.map(({ lost }) => lost))
    if (values.json) console.log(JSON.stringify({ where, results: Object.fromEntries(results) }))
    else {
      console.log(`${where} Median of ${values.rounds} rounds, turn about; ${values.outstanding} queries under way.\n`)
      console.log(
        table(
          [
            'queries a second',
            'through kt',
            'CoreDNS from a node',
            'ratio',
            'ms through kt',
            'ms from a node',
            'lost by kt',
          ],
          works.map(({ name }) => [
            name,
            of(name, 'kt', 'perSecond'),
            of(name, 'CoreDNS', 'perSecond'),
            (of(name, 'kt', 'perSecond') / of(name, 'CoreDNS', 'perSecond')).toFixed(2),
            of(name, 'kt', 'latency'),
            of(name, 'CoreDNS', 'latency'),
            figure(worst(name)),
          ]),
        ),
      )
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
    onLaptop(kt, 'down')
  }
}
