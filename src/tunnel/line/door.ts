// The agent's door: the first bytes of a connection say whether it is a path of a line or a plain SSH session.
import type { Clock } from '../../base/clock.ts'
import type { Path } from '../transport/path.ts'
import { GREETING } from './frames.ts'

/** RFC 4253 4.2: what a plain client begins with. */
const SSH = Buffer.from('SSH-2.0-')
/** How long a client may be silent at first. */
const SILENT_MS = 30_000

export interface Guests {
  /** A plain session: `path` brings everything, its first bytes too. */
  ssh(path: Path): void
  /** A path of a line, behind its greeting. */
  line(path: Path): void
}

/** Reads what tells one from the other and hands the path on. What is neither is closed. */
export function receive(path: Path, clock: Clock, guests: Guests): void {
  let early: Buffer = Buffer.alloc(0)
  let onData: ((chunk: Buffer) => void) | undefined
  let onClose: ((error: Error | undefined) => void) | undefined
  let closed: { error: Error | undefined } | undefined
  const cancel = clock.after(SILENT_MS, () => path.destroy())

  const handOn = (skipped: number): Path => ({
    ...path,
    start: (data, over) => {
      onData = data
      onClose = over
      const rest = early.subarray(skipped)
      early = Buffer.alloc(0)
      if (rest.length > 0) data(rest)
      if (closed) over(closed.error)
    },
  })
  path.start(
    (chunk) => {
      if (onData) return onData(chunk)
      early = Buffer.concat([early, chunk])
      if (begins(early, GREETING)) {
        cancel()
        guests.line(handOn(GREETING.length))
      } else if (begins(early, SSH)) {
        cancel()
        guests.ssh(handOn(0))
      } else if (!begins(GREETING, early) && !begins(SSH, early)) path.destroy()
    },
    (error) => {
      cancel()
      closed = { error }
      onClose?.(error)
    },
  )
}

const begins = (bytes: Buffer, start: Buffer): boolean =>
  bytes.length >= start.length && bytes.subarray(0, start.length).equals(start)
