// What is left when an exception reaches nobody: it ends the connection in whose course it was thrown, and not the agent, on which
// everybody else's connections depend. It is a mistake of ours each time, so it is logged as one and counted.
import { AsyncLocalStorage } from 'node:async_hooks'

/** Of so many the log has the whole story; later ones are counted, and told now and then, so that nobody can fill a node's disk. */
const TOLD_WHOLE = 20
const TOLD_EVERY = 1000

interface Course {
  /** For the log: `the connection of 10.244.1.7:4321`. */
  readonly name: string
  /** Cuts the connection. */
  readonly cut: () => void
}

const course = new AsyncLocalStorage<Course | undefined>()

/** Runs `work`; an exception that nobody handles, in it or in what it has begun, calls `cut`. */
export function inCourseOf<T>(name: string, cut: () => void, work: () => T): T {
  return course.run({ name, cut }, work)
}

/**
 * Takes the process' unhandled exceptions and rejections from now on. `fatal` is asked each time whether the process shall end, and
 * ends it then.
 */
export function takeUnhandled(log: (line: string) => void, fatal: () => boolean): void {
  let count = 0
  process.on('uncaughtException', (error) => {
    const blamed = course.getStore()
    // Node leaves the context of what threw in place, and the next event without one of its own would be blamed for it.
    course.enterWith(undefined)
    count++
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    if (count <= TOLD_WHOLE || fatal()) log(`internal error ${count}, ends ${blamed?.name ?? 'no connection'}: ${what}`)
    else if (count % TOLD_EVERY === 0) log(`internal error ${count}`)
    if (fatal()) process.exit(1)
    try {
      blamed?.cut()
    } catch (again) {
      log(`internal error in ending ${blamed?.name}: ${again}`)
    }
  })
}
