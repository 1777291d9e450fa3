// `./dev chaos [FAULT...]`: faults under load on the real cluster, as a table. docs/understand/reliability.md has results.
import { realCluster, realMachine } from '../support/machine.ts'
import { faults } from './faults.ts'
import { inboundCut } from './inbound.ts'
import { underLoad } from './run.ts'
import { World } from './world.ts'

const NAMESPACE = 'shop'
const LAPTOP = 'chaos'
/** Of what comes to the laptop: these need no `kt up`. */
const INBOUND = { 'exchange-cut-20': 'exchange', 'mesh-cut-20': 'mesh' } as const
const INBOUND_MOST_MS = 1_000

const names = process.argv.slice(2)
const all = [...faults.map(({ name }) => name), ...Object.keys(INBOUND)]
const unknown = names.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.error(`chaos: there is no fault ${unknown.join(', ')}; there are ${all.join(', ')}`)
  process.exit(2)
}
const cluster = realCluster()
if ('missing' in cluster) {
  console.error(`chaos: ${cluster.missing}`)
  process.exit(1)
}
const laptop = realMachine(cluster.program, LAPTOP)
const world = new World(cluster.program, LAPTOP, NAMESPACE)
let failed = 0
console.log(
  '| fault | flows | gap after its end, ms | allowed, ms | names failed | new connections failed | slowest, ms |',
)
console.log('| --- | --- | --- | --- | --- | --- | --- |')
for (const fault of faults.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const up = await laptop.kt(['up', '-n', NAMESPACE], { sudo: true })
  if (up.code !== 0) throw new Error(`kt up: ${up.stderr}`)
  try {
    const { gapMs, wrong, report } = await underLoad(world, fault)
    const { names, connects } = report
    const cells = [
      fault.name,
      fault.live ? 'live' : 'reset',
      Math.round(gapMs),
      fault.mostMs,
      `${names.failed.length} of ${names.asked}`,
      `${connects.failed.length} of ${connects.tried}`,
      Math.round(connects.slowestMs),
    ]
    console.log(`| ${cells.join(' | ')} |${wrong.length > 0 ? ` WRONG: ${wrong.join('; ')}` : ''}`)
    if (wrong.length > 0) failed++
  } finally {
    await laptop.kt(['down'], { sudo: true })
  }
}
for (const [name, kind] of Object.entries(INBOUND)) {
  if (names.length > 0 && !names.includes(name)) continue
  const { gapMs, wrong, asked, failed: lost } = await inboundCut(world, kind, 20)
  if (gapMs > INBOUND_MOST_MS) wrong.push(`the gap was ${Math.round(gapMs)} ms`)
  console.log(`| ${[name, 'live', Math.round(gapMs), INBOUND_MOST_MS, '', `${lost} of ${asked}`, ''].join(' | ')} |`)
  if (wrong.length > 0) console.log(`WRONG: ${wrong.join('; ')}`)
  if (wrong.length > 0) failed++
}
process.exit(failed > 0 ? 1 : 0)
