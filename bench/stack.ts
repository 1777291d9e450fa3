// `./dev bench stack`: how fast the stack is by itself, two of them back to back in memory, no device, no kernel, and what
// it allocates. Then how cost grows with the number of connections and the size of writes, as a table and a plot.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { allocated, conditions, cpuMicros, figure, table, writeSection } from './measure.ts'
import { plot } from './plot.ts'
import { bulk, connections, datagrams, echo, pureAcks, type Work, writes } from './stack-works.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '0.5' },
    flows: { type: 'string', default: '1,10,100,1000,10000' },
    sizes: { type: 'string', default: '64,256,1024,4096,16384,65536' },
    write: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log(
    './dev bench stack [--seconds 0.5] [--flows 1,10,...] [--sizes 64,256,...] [--write] [--json]\n' +
      '--write puts the tables into docs/understand/performance.md and the plot into docs/images/performance-stack.svg',
  )
  process.exit(0)
}
const flows = values.flows.split(',').map(Number)
const sizes = values.sizes.split(',').map(Number)

interface Rate {
  packets: number
  megabytes: number
  units: number
  /** Bytes of JavaScript heap a packet. */
  garbage: number
}

/**
 * The best of five parts of the time, a second of this thread's CPU, so that what else the machine does counts little; all
 * works by turns. The first part of all is the compiler's.
 */
function rates(works: readonly Work[]): Rate[] {
  const part = (Number(values.seconds) * 1e6) / 5
  const all = works.map(() => ({ packets: 0, megabytes: 0, units: 0, garbage: Number.POSITIVE_INFINITY }))
  for (let round = 0; round < 6; round++) {
    works.forEach((work, at) => {
      const sum = { packets: 0, bytes: 0, units: 0 }
      let micros = 0
      const garbage = allocated(() => {
        const began = cpuMicros()
        do {
          const { packets, bytes, units } = work()
          sum.packets += packets
          sum.bytes += bytes
          sum.units += units
          micros = cpuMicros() - began
        } while (micros < part)
      })
      if (round === 0) return
      const best = all[at]
      best.packets = Math.max(best.packets, (sum.packets / micros) * 1e6)
      best.megabytes = Math.max(best.megabytes, sum.bytes / micros)
      best.units = Math.max(best.units, (sum.units / micros) * 1e6)
      best.garbage = Math.min(best.garbage, Math.max(0, garbage / sum.packets))
    })
  }
  return all
}

const where = conditions()
const named: Record<string, Work> = {
  'bulk, one connection, segments up to 64 KB': bulk(true),
  'bulk, one connection, segments of the MSS': bulk(false),
  'echo of a byte': echo(),
  'connections opened and closed': connections(),
  'datagrams answered': datagrams(),
  'pure ACKs': pureAcks(),
}
const measured = rates(Object.values(named))
const single = Object.keys(named).map((name, i) => ({ name, ...measured[i] }))
const cells = rates(flows.flatMap((count) => sizes.map((size) => writes(count, size))))
const grid = flows.map((count, i) => ({ flows: count, cells: cells.slice(i * sizes.length, (i + 1) * sizes.length) }))

if (values.json) console.log(JSON.stringify({ where, single, sizes, grid }))
else {
  const size = (bytes: number) => (bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KB`)
  const by = (of: (cell: Rate) => string) =>
    table(
      ['connections', ...sizes.map(size)],
      grid.map((row) => [row.flows.toLocaleString('en'), ...row.cells.map(of)]),
    )
  const text = [
    `${where} Best of five turns of ${Number(values.seconds) / 5} s of CPU.`,
    table(
      ['work', 'thousand packets a CPU second', 'MB a CPU second', 'times a CPU second', 'bytes allocated a packet'],
      single.map((one) => [
        one.name,
        one.packets / 1000,
        one.megabytes > 50 ? one.megabytes : '-',
        figure(one.units),
        one.garbage < 0.5 ? '0' : figure(one.garbage),
      ]),
    ),
    'One write a turn, each to the next connection, until both stacks are silent. Thousand packets a CPU second (half are ACKs), both stacks on one core:',
    by((cell) => figure(cell.packets / 1000)),
    'MB a CPU second:',
    by((cell) => figure(cell.megabytes)),
    'Bytes allocated a packet:',
    by((cell) => (cell.garbage < 0.5 ? '0' : figure(cell.garbage))),
  ].join('\n\n')
  console.log(text)
  if (values.write) {
    writeFileSync(
      'docs/images/performance-stack.svg',
      plot({
        title: 'Two stacks back to back: packets a CPU second',
        x: 'open connections, all in use by turns',
        y: 'packets a CPU second',
        series: sizes.map((bytes, i) => ({
          name: `${size(bytes)} a write`,
          points: grid.map((row) => [row.flows, row.cells[i].packets] as const),
        })),
      }),
    )
    writeSection('docs/understand/performance.md', 'bench stack', `![plot](../images/performance-stack.svg)\n\n${text}`)
  }
}
