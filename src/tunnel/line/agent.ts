// The agent's lines: takes paths that begin with the line's greeting, starts a line for each OPEN and brings RESUME to the
// line it belongs to. A line whose client is absent is kept for a while.
import type { Clock } from '../../base/clock.ts'
import type { Departure, Turns } from '../transport/gatherer.ts'
import type { Path } from '../transport/path.ts'
import { LineFrame, lineFrame, ProtocolError, Refusal } from './frames.ts'
import { Line } from './line.ts'
import { LinePath } from './line-path.ts'
import { ProbeAnswers } from './probes.ts'
import { ID_BYTES, isProven, KEY_BYTES, type Purpose, readResume, resumedBody } from './proof.ts'
import { lineReader } from './reader.ts'

/** So many paths may carry a line at a time: what the agent's HELLO says. */
export const MOST_PATHS = 2
/** Lines at a time; a client has one. */
const MOST_LINES = 64
/** Open paths of one line at a time. This includes those that do not carry it any more. */
const MOST_KEPT_PATHS = 4
/** A path that has not said which line it is of is closed after this, and so is one that was refused and does not end. */
const FIRST_FRAME_MS = 10_000

export interface LineServerOptions {
  clock: Clock
  departure?: Departure
  turns?: Turns
  /** How long a line waits for its client, ms. */
  waitMs: number
  log: (message: string) => void
  /** A client has gone without a word, or has come back. */
  onPresence?: (event: 'absent' | 'back') => void
}

/** A line that a client has opened. */
export interface OpenedLine {
  line: Line
  /**
   * From now on the line outlives its paths: who resumes it proves that it holds `key`, which the client has sent in its
   * session. False if that is no key.
   */
  secure(key: Buffer): boolean
}

interface Entry {
  readonly id: Buffer
  readonly line: Line
  key: Buffer | undefined
  /** Of the last attempt that was proven, and what the client had received then. */
  counter: number
  claimed: number
  /** The last one carries the line; those before it are kept until they end, in case it is the one that fails. */
  paths: LinePath[]
  cancelWait: (() => void) | undefined
}

class Refused extends Error {
  readonly reason: number

  constructor(reason: number, message: string) {
    super(message)
    this.reason = reason
  }
}

export class LineServer {
  readonly #options: LineServerOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: LineServerOptions) {
    this.#options = options
  }

  /** Lines there are, those with an absent client among them. */
  get size(): number {
    return this.#entries.size
  }

  /** Lines whose client is absent. */
  get absent(): number {
    return [...this.#entries.values()].filter(({ cancelWait }) => cancelWait).length
  }

  /** Serves a path whose greeting has been read. `onOpen` is called if it opens a line, `known` when it is of one. */
  serve(path: Path, onOpen: (opened: OpenedLine) => void, known = () => {}): void {
    const { clock, log } = this.#options
    const linePath = new LinePath(path, clock.now())
    const answers = new ProbeAnswers(linePath)
    let entry: Entry | undefined
    let refused = false
    const cancelFirst = clock.after(FIRST_FRAME_MS, () => linePath.close())
    const over = () => {
      cancelFirst()
      linePath.lost()
      if (entry) this.#pathLost(entry, linePath)
    }
    const reader = lineReader(
      linePath,
      () => entry?.line,
      (type, body) => {
        if (entry) {
          if (type === LineFrame.probe) answers.answer(Buffer.from(body))
          return
        }
        if (type === LineFrame.open) entry = this.#open(linePath, body, onOpen)
        else if (type === LineFrame.resume) entry = this.#resume(linePath, body)
        else if (type === LineFrame.join) entry = this.#join(linePath, body)
        else throw new Refused(Refusal.malformed, `a path begins with a frame of type ${type}`)
        cancelFirst()
        known()
      },
    )
    path.start((chunk) => {
      try {
        if (!linePath.open || refused) return
        // Whoever has two paths wants to know which of them is alive.
        if (entry?.line.isStriped) linePath.heardAt = clock.now()
        reader.push(chunk)
      } catch (error) {
        if (!(error instanceof Refused || error instanceof ProtocolError)) {
          // A mistake of ours: nobody knows what became of the bytes.
          linePath.close()
          entry?.line.destroy(error as Error)
          over()
          throw error
        }
        log(`a path ends: ${error.message}`)
        if (error instanceof Refused) {
          const frame = lineFrame(LineFrame.refused, Uint8Array.of(error.reason), Buffer.from(error.message))
          refused = true
          linePath.send(frame, () => path.end())
          return
        }
        linePath.close()
        over()
      }
    }, over)
  }

  /** Ends all lines. */
  close(): void {
    for (const { line } of [...this.#entries.values()]) line.destroy()
  }

  #open(path: LinePath, id: Buffer, onOpen: (opened: OpenedLine) => void): Entry {
    if (id.length !== ID_BYTES) throw new Refused(Refusal.malformed, 'OPEN has no line')
    const name = id.toString('hex')
    if (this.#entries.has(name)) throw new Refused(Refusal.unproven, 'there is such a line already')
    if (this.#entries.size >= MOST_LINES) throw new Refused(Refusal.crowded, `it has ${MOST_LINES} clients already`)
    const { clock, departure, turns, log } = this.#options
    const line = new Line({
      ...{ clock, departure, turns },
      onParted: (why) => log(`one of two paths is gone: ${why}`),
      onOver: () => this.#over(name),
    })
    const entry: Entry = {
      id: Buffer.from(id),
      line,
      key: undefined,
      counter: -1,
      claimed: 0,
      paths: [path],
      cancelWait: undefined,
    }
    this.#entries.set(name, entry)
    path.send(lineFrame(LineFrame.opened))
    line.attach(path, 0)
    const secure = (key: Buffer) => {
      if (key.length !== KEY_BYTES || entry.key) return false
      entry.key = Buffer.from(key)
      return true
    }
    try {
      onOpen({ line, secure })
    } catch (error) {
      line.destroy(error as Error)
      throw error
    }
    return entry
  }

  #resume(path: LinePath, body: Buffer): Entry {
    const { entry, received, answer } = this.#proven(body, 'resume')
    path.send(lineFrame(LineFrame.resumed, answer))
    entry.line.attach(path, received)
    this.#keep(entry, path)
    this.#options.log('a line goes on over a new path')
    return entry
  }

  #join(path: LinePath, body: Buffer): Entry {
    const { entry, received, answer } = this.#proven(body, 'join')
    path.send(lineFrame(LineFrame.joined, answer))
    entry.line.join(path, received)
    this.#keep(entry, path)
    this.#options.log(`a line goes over ${entry.line.isStriped ? 'a second path' : 'a new path'}`)
    return entry
  }

  /** `path` is of the line from now on. When there are too many, the oldest that does not carry it is closed. */
  #keep(entry: Entry, path: LinePath): void {
    entry.paths = [...entry.paths.filter(({ open }) => open), path]
    if (entry.paths.length <= MOST_KEPT_PATHS) return
    entry.paths.find((one) => !entry.line.carriedBy(one))?.close()
    entry.paths = entry.paths.filter(({ open }) => open)
  }

  /** The line that a RESUME or JOIN is of, once it is proven to be the client's. Throws Refused. */
  #proven(body: Buffer, purpose: Purpose): { entry: Entry; received: number; answer: Buffer } {
    const resume = readResume(body)
    if (!resume) throw new Refused(Refusal.malformed, 'RESUME has the wrong length')
    const entry = this.#entries.get(resume.attempt.id.toString('hex'))
    if (!entry) throw new Refused(Refusal.unknown, 'there is no such line (any more)')
    const { id, counter, received } = resume.attempt
    // An attempt that is older than one that was proven is one that was overheard, or late.
    if (!entry.key || counter <= entry.counter || !isProven(resume, entry.key, purpose))
      throw new Refused(Refusal.unproven, 'the line is of another client')
    // Before anything changes: the line goes on waiting for a client that counts right.
    if (!entry.line.couldHave(received)) throw new Refused(Refusal.malformed, 'RESUME claims bytes that were not sent')
    // An acknowledgement over the old path may overtake an attempt, but no attempt knows less than an earlier one.
    if (received < entry.claimed) {
      entry.line.destroy(new Error('the client has lost bytes that it had received'))
      throw new Refused(Refusal.unknown, 'the line has ended: bytes are lost')
    }
    entry.counter = counter
    entry.claimed = received
    const wasAbsent = entry.cancelWait !== undefined
    entry.cancelWait?.()
    entry.cancelWait = undefined
    if (wasAbsent) this.#options.onPresence?.('back')
    return { entry, received, answer: resumedBody(entry.key, { id, counter, received: entry.line.received }, purpose) }
  }

  /** The line goes on over a path that is still there; without one it waits for its client. */
  #pathLost(entry: Entry, path: LinePath): void {
    entry.paths = entry.paths.filter((one) => one !== path && one.open)
    if (entry.line.over || !entry.line.carriedBy(path)) return
    entry.line.detach(path, 'it was closed')
    // The second of two paths carries it.
    if (entry.line.current) return
    const before = entry.paths.at(-1)
    if (before) entry.line.attach(before, entry.line.acked)
    else if (entry.line.isEnding) entry.line.destroy(new Error('the line ended before all of it had come'))
    else if (entry.key) this.#await(entry)
    else entry.line.destroy(new Error('the connection was lost'))
  }

  /** The client is absent. */
  #await(entry: Entry): void {
    const { clock, waitMs } = this.#options
    entry.cancelWait?.()
    entry.cancelWait = clock.after(waitMs, () =>
      entry.line.destroy(new Error(`the client was absent for ${Math.round(waitMs / 1000)} s`)),
    )
    this.#options.onPresence?.('absent')
  }

  #over(name: string): void {
    const entry = this.#entries.get(name)
    this.#entries.delete(name)
    entry?.cancelWait?.()
    // Those that carried it have been closed, or close when what was sent has left.
    for (const path of entry?.paths ?? []) path.close()
  }
}
