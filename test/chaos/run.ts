// One fault under load, and what came of it.
import type { Fault } from './faults.ts'
import type { LoadReport } from './load.ts'
import { seconds, type World } from './world.ts'

const IDLE = 200
const BEFORE_S = 3
const AFTER_S = 8
const NAMES = ['web.shop', 'db-0.db.shop', 'kubernetes.default', 'db.shop', 'kube-dns.kube-system']

export interface Outcome {
  fault: string
  /**
   * From the end of the cause until the flow (or, where the pod is gone, a new connection) worked again, ms; of a cause that
   * lasts, the longest pause. Echoes come every 100 ms and connections every 200 ms, so that much is no gap.
   */
  gapMs: number
  /** What was not as it must be; empty when all was. */
  wrong: string[]
  report: LoadReport
}

export async function underLoad(world: World, fault: Fault): Promise<Outcome> {
  const load = await world.load({ host: 'web.shop', idle: fault.idle ?? IDLE, names: NAMES })
  await seconds(BEFORE_S)
  const ended = await fault.run(world)
  await seconds(AFTER_S)
  const report = await load.stop()
  return judge(fault, ended, report)
}

function judge(fault: Fault, ended: number, report: LoadReport): Outcome {
  const { echo, stream, idle, names, connects } = report
  const wrong: string[] = []
  const times = (fault.live ? echo.times : connects.times).filter((time) => time >= ended)
  const gapMs = fault.lasting ? longest([ended, ...times]) : (times[0] ?? Number.POSITIVE_INFINITY) - ended
  if (gapMs > fault.mostMs) wrong.push(`the gap was ${Math.round(gapMs)} ms, ${fault.mostMs} are allowed`)
  if (fault.live) {
    if (echo.error) wrong.push(`the echo: ${echo.error}`)
    if (echo.times.length < echo.sent - 2) wrong.push(`${echo.sent} echoes were sent, ${echo.times.length} came`)
    if (stream.error) wrong.push(`the stream: ${stream.error}`)
    if (idle.alive < idle.opened) wrong.push(`${idle.opened - idle.alive} of ${idle.opened} idle flows are dead`)
  } else {
    if (!echo.error) wrong.push('the echo was not reset')
    if (idle.alive > 0) wrong.push(`${idle.alive} idle flows seem to live`)
  }
  if (stream.error?.includes('wrong')) wrong.push(stream.error)
  if (names.failed.length > 0 && fault.live) wrong.push(`${names.failed.length} of ${names.asked} names failed`)
  return { fault: fault.name, gapMs, wrong, report }
}

/** The longest time between two neighbours. */
function longest(times: number[]): number {
  return Math.max(0, ...times.slice(1).map((time, i) => time - times[i]))
}
