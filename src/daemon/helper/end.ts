// Ends a user's kt that does not end when it is asked: TERM to both, KILL to what is stopped or takes too long. The engine
// goes first, for its helper sees that and undoes everything; what a killed helper leaves is undone by whoever called this.
// Which processes those are the journal says, with their start times, so that no later process of a number is hit.

import type { Clock } from '../../base/clock.ts'
import type { Effects } from '../../host/effects.ts'
import { Journal } from '../../host/journal.ts'

/** Longer than the engine takes to leave a cluster that is out of reach. */
const TERM_MS = 9_000
/** A process ends at once by KILL; a helper then has to undo what its engine left. */
const KILL_MS = 3_000
const LOOK_MS = 25

export interface EndDeps {
  effects: Effects
  clock: Clock
  /** As process.kill. */
  kill(pid: number, signal: NodeJS.Signals): void
}

/** Resolves to what was ended, and how, in words, when neither process lives any more, or neither can be ended. */
export async function endProcesses(uid: number, { effects, clock, kill }: EndDeps): Promise<string[]> {
  const done: string[] = []
  const living = () => Object.entries(Journal.processes(uid, effects))
  const send = (pid: number, signal: NodeJS.Signals) => {
    try {
      kill(pid, signal)
    } catch {
      // it has ended in this moment
    }
  }
  const end = (who: string, pid: number) => {
    send(pid, 'SIGKILL')
    const words = `process ${pid}, kt's ${who}, which did not answer, was killed`
    if (!done.includes(words)) done.push(words)
  }
  const ended = async (within: number, look: () => void = () => {}) => {
    for (const late = clock.now() + within; living().length > 0 && clock.now() < late; look())
      await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
  }

  const told = living().map(([, { pid }]) => pid)
  for (const pid of told) send(pid, 'SIGTERM')
  await ended(TERM_MS, () => {
    for (const [who, { pid }] of living()) if (isStopped(pid, effects)) end(who, pid)
  })
  for (const process of ['engine', 'helper']) {
    for (const [who, { pid }] of living()) if (who === process) end(who, pid)
    await ended(KILL_MS)
  }
  if (done.length === 0 && told.length > 0) done.push(`kt, which still ran (process ${told.join(' and ')}), was ended`)
  return done
}

/** proc(5): T is stopped by a signal, t by a tracer; neither takes a TERM. */
function isStopped(pid: number, { files, paths }: Effects): boolean {
  const stat = files.read(`${paths.proc}/${pid}/stat`) ?? ''
  return /^[Tt]/.test(stat.slice(stat.lastIndexOf(')') + 2))
}
