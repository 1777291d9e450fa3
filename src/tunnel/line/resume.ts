// One attempt to go on over a new path, or over a second one: RESUME or JOIN, and the agent's answer to it.
import { greeted, LineFrame, lineFrame, Refusal } from './frames.ts'
import type { LinePath } from './line-path.ts'
import { type Attempt, type Purpose, readResumed, resumeBody } from './proof.ts'
import type { Reading } from './reader.ts'
import { RefusedByAgent } from './search.ts'

export interface ResumeEffects {
  /** Starts reading the path. */
  read(reading: Reading): void
  /** Can the agent have so many bytes? */
  couldHave(received: number): boolean
  /** The agent has proven itself, and has so many bytes. */
  resumed(received: number): void
}

/** Resolves when the path carries the line; rejects when it came to nothing, or was given up. */
export async function resumeOver(
  path: LinePath,
  { key, attempt, purpose }: { key: Buffer; attempt: Attempt; purpose: Purpose },
  { read, couldHave, resumed }: ResumeEffects,
  signal: AbortSignal,
): Promise<void> {
  const [question, answer] =
    purpose === 'join' ? [LineFrame.join, LineFrame.joined] : [LineFrame.resume, LineFrame.resumed]
  await new Promise<void>((resolve, reject) => {
    let open = false
    const giveUp = () => {
      if (open) return
      path.close()
      reject(new Error('given up'))
    }
    if (signal.aborted) return giveUp()
    signal.addEventListener('abort', giveUp)
    read({
      isOpen: () => open,
      onFrame: (type, body) => {
        if (type === LineFrame.refused) {
          const why = body.subarray(1).toString()
          path.close()
          // An attempt that a later one has overtaken, or that somebody has repeated, is refused as well: the line is there.
          reject(body[0] === Refusal.unproven ? new Error(why) : new RefusedByAgent(why))
        } else if (type === answer && !open) {
          const received = readResumed(body, key, attempt, purpose)
          if (received === undefined) throw new RangeError('another agent answered')
          if (!couldHave(received)) throw new RangeError('the agent claims bytes that were not sent')
          // Before anything follows from it: whoever stops the search gives up what is not open.
          open = true
          resumed(received)
          resolve()
        }
      },
      onLost: (error) => reject(error ?? new Error('the connection ended')),
    })
    path.send(greeted(lineFrame(question, resumeBody(key, attempt, purpose))))
  })
}
