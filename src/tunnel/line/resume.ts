// Attempts to go on over a new path, or over a second one: RESUME or JOIN, and the agent's answer to it.
import type { Clock } from '../../base/clock.ts'
import type { Path } from '../transport/path.ts'
import { greeted, LineFrame, lineFrame, ProtocolError, Refusal } from './frames.ts'
import type { Line } from './line.ts'
import { LinePath } from './line-path.ts'
import { type Attempt, type Purpose, readResumed, resumeBody } from './proof.ts'
import type { Reading } from './reader.ts'
import { RefusedByAgent } from './search.ts'

export interface ResumerOptions {
  clock: Clock
  /** Of the line. */
  id: Buffer
  line: Line
  /** Opens a connection to the agent. */
  dial(signal: AbortSignal): Promise<Path>
  /** Starts reading a path. */
  read(path: LinePath, reading: Reading): void
  /** The agent has proven itself, has so many bytes, and took so long to answer. */
  resumed(purpose: Purpose, path: LinePath, received: number, tripMs: number): void
}

export class Resumer {
  /** Undefined until the agent has taken it: there is nothing to resume before. */
  key: Buffer | undefined
  readonly #options: ResumerOptions
  #counter = 0

  constructor(options: ResumerOptions) {
    this.#options = options
  }

  /** One attempt at a new path. Resolves when it carries the line; rejects when it came to nothing, or was given up. */
  async attempt(signal: AbortSignal, purpose: Purpose): Promise<void> {
    const { clock, id, line, dial, read, resumed } = this.#options
    const path = await dial(signal)
    const begun = clock.now()
    const linePath = new LinePath(path, begun)
    const attempt = { id, counter: ++this.#counter, received: line.received }
    // The agent will answer this attempt later than it has acknowledged what is acknowledged now.
    const { acked } = line
    // What the first path brings may overtake the answer.
    if (purpose === 'join') line.expectEarly()
    await resumeOver(
      linePath,
      { key: this.key!, attempt, purpose },
      {
        read: (reading) => read(linePath, reading),
        couldHave: (received) => line.couldHave(received),
        mustHave: acked,
        resumed: (received) => resumed(purpose, linePath, received, clock.now() - begun),
      },
      signal,
    )
  }
}

interface ResumeEffects {
  read(reading: Reading): void
  /** Can the agent have so many bytes? */
  couldHave(received: number): boolean
  /** The agent has acknowledged so many. */
  mustHave: number
  resumed(received: number): void
}

async function resumeOver(
  path: LinePath,
  { key, attempt, purpose }: { key: Buffer; attempt: Attempt; purpose: Purpose },
  { read, couldHave, mustHave, resumed }: ResumeEffects,
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
          if (received === undefined) throw new ProtocolError('another agent answered')
          if (!couldHave(received)) throw new ProtocolError('the agent claims bytes that were not sent')
          if (received < mustHave) {
            path.close()
            reject(new RefusedByAgent('it has lost bytes that it had acknowledged'))
            return
          }
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
