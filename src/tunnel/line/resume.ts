// One attempt to go on over a new path: RESUME, and the agent's answer to it.
import { greeted, LineFrame, lineFrame, Refusal } from './frames.ts'
import type { LinePath } from './line-path.ts'
import { type Attempt, readResumed, resumeBody } from './proof.ts'
import { RefusedByAgent } from './search.ts'

export interface ResumeEffects {
  /** Starts reading the path. Bytes belong to the line once `isOpen`. */
  read(
    isOpen: () => boolean,
    onFrame: (type: number, body: Buffer) => void,
    onLost: (error: Error | undefined) => void,
  ): void
  /** Can the agent have so many bytes? */
  couldHave(received: number): boolean
  /** The agent has proven itself, and has so many bytes. */
  resumed(received: number): void
}

/** Resolves when the path carries the line; rejects when it came to nothing, or was given up. */
export async function resumeOver(
  path: LinePath,
  { key, attempt }: { key: Buffer; attempt: Attempt },
  { read, couldHave, resumed }: ResumeEffects,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let open = false
    const giveUp = () => {
      if (open) return
      path.close()
      reject(new Error('given up'))
    }
    if (signal.aborted) return giveUp()
    signal.addEventListener('abort', giveUp)
    read(
      () => open,
      (type, body) => {
        if (type === LineFrame.refused) {
          const why = body.subarray(1).toString()
          path.close()
          // An attempt that a later one has overtaken, or that somebody has repeated, is refused as well: the line is there.
          reject(body[0] === Refusal.unproven ? new Error(why) : new RefusedByAgent(why))
        } else if (type === LineFrame.resumed && !open) {
          const received = readResumed(body, key, attempt.id, attempt.counter)
          if (received === undefined) throw new RangeError('another agent answered')
          if (!couldHave(received)) throw new RangeError('the agent claims bytes that were not sent')
          // Before anything follows from it: whoever stops the search gives up what is not open.
          open = true
          resumed(received)
          resolve()
        }
      },
      (error) => reject(error ?? new Error('the connection ended')),
    )
    path.send(greeted(lineFrame(LineFrame.resume, resumeBody(key, attempt))))
  })
}
