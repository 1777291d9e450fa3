// One random schedule of what a network and a machine may do to a line, in virtual time. At the end everything works again,
// and every byte must come.
import assert from 'node:assert/strict'
import { fine, seeded, type World, whole, world } from './line-pair.ts'

/** Where the schedules begin and how many there are: KT_LINE_SEED and KT_LINE_RUNS, for a long run or to see one again. */
export function seeds(runs: number): number[] {
  const first = Number(process.env['KT_LINE_SEED'] ?? 1)
  return Array.from({ length: Number(process.env['KT_LINE_RUNS'] ?? runs) }, (_, i) => first + i)
}

const pipesOf = ({ connections }: World) => connections.flatMap(({ up, down }) => [up, down])

function happen(w: World, random: () => number, most: number, paths: number): void {
  // One of those that carry the line, or may do so.
  const connection = w.connections.at(-1 - Math.floor(random() * Math.min(paths > 1 ? 3 : 1, w.connections.length)))!
  const pipe = connection[random() < 0.5 ? 'up' : 'down']
  const { dialling } = w
  const what = random()
  if (what < 0.22) w.near.send(Math.floor(random() ** 4 * most))
  else if (what < 0.44) w.far.send(Math.floor(random() ** 4 * most))
  else if (what < 0.53) connection.cut()
  else if (what < 0.61) pipe.left = Math.floor(random() ** 3 * 50_000)
  else if (what < 0.7) pipe.stalled = true
  else if (what < 0.75) pipe.rate = 10 ** (1 + random() * 4)
  else if (what < 0.79) dialling.fails = !dialling.fails
  else if (what < 0.83) dialling.hangs = !dialling.hangs
  else if (what < 0.87) w.client.suspect('the network changed')
  else if (what < 0.89) w.wall.ahead += random() * 10_000
  else if (what < 0.91) dialling.dialMs = random() < 0.5 ? undefined : random() * 400
  else if (what < 0.94) dialling.lifetimeMs = random() < 0.5 ? undefined : 1_500 + random() * 10_000
}

/** Runs the schedule with this seed; throws what the last lines of the log say when it does not come to a good end. */
export async function runSchedule(seed: number, paths: number): Promise<void> {
  const w = await world(seed, true, 1e9, { paths })
  const random = seeded(seed * 104_729)
  const steps = 5 + Math.floor(random() * 25)
  for (let i = 0; i < steps; i++) {
    happen(w, random, paths * 200_000, paths)
    for (const pipe of pipesOf(w))
      if (pipe.stalled && random() < 0.2) {
        pipe.stalled = false
        pipe.flush()
      }
    await w.time.run(random() ** 3 * 3_000)
  }
  Object.assign(w.dialling, { fails: false, hangs: false, lifetimeMs: undefined, dialMs: undefined })
  const told = () =>
    `seed ${seed}: ${w.near.wrong ?? w.far.wrong ?? `got ${w.far.got} of ${w.near.sent}, ${w.near.got} of ${w.far.sent}`}\n${w.log.slice(-12).join('\n')}`
  const good = () => fine(w) && !w.near.closed && !w.far.closed
  const came = await w.time.runUntil(() => whole(w) || !good(), 60_000)
  assert.ok(came && good(), told())
  // Whoever has said END waits for nothing but a socket, so no path may be lost from now on.
  w.dialling.merciful = true
  for (const pipe of pipesOf(w)) {
    Object.assign(pipe, { stalled: false, left: Number.POSITIVE_INFINITY, rate: Number.POSITIVE_INFINITY })
    pipe.flush()
  }
  await w.time.run(5_000)
  assert.ok(await w.time.runUntil(() => w.client.report.state === 'open', 20_000), told())
  const [one, other] = random() < 0.5 ? [w.near, w.far] : [w.far, w.near]
  one.send(5_000)
  one.transport.end()
  // What a slow socket has already is not sent sooner because the connection is fast now.
  assert.ok(await w.time.runUntil(() => one.closed !== undefined && other.closed !== undefined, 120_000), told())
  assert.deepEqual([one.closed, other.closed, whole(w)], [{ error: undefined }, { error: undefined }, true], told())
  // A slow connection may take long to send what it has.
  assert.ok(await w.time.runUntil(() => w.time.pending === 0, 1e6), told())
  assert.deepEqual([w.server.size, w.connections.every(({ over }) => over)], [0, true], told())
}
