// The client's line: opens it over a first path, and finds another path when one is lost or is suspected to be.
import type { Clock } from '../../base/clock.ts'
import { TunnelError } from '../errors.ts'
import type { Turns } from '../transport/gatherer.ts'
import type { Path } from '../transport/path.ts'
import type { Transport } from '../transport/transport.ts'
import type { LinePathReport, LineReport, TunnelLine } from '../tunnel.ts'
import { greeted, LineFrame, lineFrame } from './frames.ts'
import { Line } from './line.ts'
import { LinePath } from './line-path.ts'
import { LineState } from './line-state.ts'
import { Moves } from './moves.ts'
import { Probes, SUSPECT_MS } from './probes.ts'
import { ID_BYTES, KEY_BYTES } from './proof.ts'
import { lineReader } from './reader.ts'
import { Rests } from './rests.ts'
import { resumeOver } from './resume.ts'
import { patienceMs, Search } from './search.ts'

/** A path is looked at so often. */
const TICK_MS = 250
/** A path that brings nothing is asked so often whether it is alive. */
const PROBE_EVERY_MS = 2_500
/** The wall clock goes on while the machine sleeps; more than this apart means that it has slept. */
const SLEPT_MS = 3_000

export interface LineClientOptions {
  clock: Clock
  turns?: Turns
  /** The time of day in ms. */
  wall: () => number
  random: (bytes: number) => Buffer
  /** Opens a connection to the agent. */
  dial: (signal: AbortSignal) => Promise<Path>
  /** Is the agent's pod still there? Rejects when the cluster cannot be asked. */
  isAlive: () => Promise<boolean>
  log: (message: string) => void
}

export class LineClient implements TunnelLine {
  onChange: (report: LineReport) => void = () => {}
  isAlive: () => Promise<boolean>
  readonly #options: LineClientOptions
  readonly #line: Line
  readonly #id: Buffer
  #key: Buffer | undefined
  #counter = 0
  #unknownHere = false
  #heard: number
  readonly #probes = new Probes()
  readonly #rests = new Rests()
  #drift: number
  #cancelTick: () => void
  #search: Search | undefined
  readonly #state: LineState
  readonly #moves: Moves
  /** Since when the current path carries the line. */
  #currentSince = 0

  private constructor(options: LineClientOptions) {
    const { clock, turns, wall, random } = options
    this.#options = options
    this.isAlive = options.isAlive
    this.#id = random(ID_BYTES)
    this.#heard = clock.now()
    this.#drift = wall() - clock.now()
    this.#state = new LineState(
      clock.now(),
      () => this.#paths(),
      (report) => this.onChange(report),
    )
    this.#moves = new Moves({
      ...options,
      attempt: (signal) => this.#attempt(signal),
      patienceMs: () => this.#patienceMs,
    })
    this.#line = new Line({ clock, turns, onProgress: () => this.#alive(), onOver: () => this.#over() })
    this.#cancelTick = clock.after(TICK_MS, this.#tick)
  }

  /** Opens a line. Rejects with the dial's error. */
  static async open(options: LineClientOptions, signal: AbortSignal): Promise<LineClient> {
    const path = await options.dial(signal)
    const client = new LineClient(options)
    client.#begin(path)
    return client
  }

  /** What SSH goes over. It closes if the agent does not know lines: see `unknownHere`. */
  get transport(): Transport {
    return this.#line
  }

  /** The agent does not know lines: a plain session is to be used. */
  get unknownHere(): boolean {
    return this.#unknownHere
  }

  get report(): LineReport {
    return this.#state.report
  }

  /** A new key; to be sent to the agent inside the session. From `secure` on the line outlives its paths. */
  newKey(): Buffer {
    return this.#options.random(KEY_BYTES)
  }

  /** The agent has taken the key. */
  secure(key: Buffer): void {
    this.#key = key
  }

  /** Something has happened that may have broken the path: another route, another address. */
  suspect(cause: string): void {
    if (this.#search) this.#search.hurry()
    else if (this.#key && !this.#line.over) this.#seek(cause, 0)
  }

  #begin(path: Path): void {
    const linePath = new LinePath(path)
    this.#read(
      path,
      linePath,
      () => true,
      () => {},
      (first) => {
        // An agent that does not know lines says at once that it is an SSH server.
        if (String.fromCharCode(first[0]) !== 'S') return
        this.#unknownHere = true
        this.#line.destroy(new Error('the agent does not know lines'))
      },
    )
    linePath.send(greeted(lineFrame(LineFrame.open, this.#id)))
    this.#line.attach(linePath, 0)
    this.#currentSince = this.#options.clock.now()
  }

  /** Starts reading a path. `onFrame` gets the frames of its opening, `onFirst` the first bytes. */
  #read(
    path: Path,
    linePath: LinePath,
    isOpen: () => boolean,
    onFrame: (type: number, body: Buffer) => void,
    onFirst: (chunk: Buffer) => void = () => {},
    onLost: (error: Error | undefined) => void = () => {},
  ): void {
    const reader = lineReader(
      () => (isOpen() ? this.#line : undefined),
      (type, body) => {
        if (type === LineFrame.probed) this.#probed(linePath, body)
        else onFrame(type, body)
      },
    )
    let first = true
    const lost = (error: Error | undefined) => {
      linePath.lost()
      onLost(error)
      if (this.#line.current === linePath) this.#pathLost(linePath, error)
    }
    path.start((chunk) => {
      if (first) onFirst(chunk)
      first = false
      if (!linePath.open) return
      if (this.#line.current === linePath) this.#heard = this.#options.clock.now()
      try {
        reader.push(chunk)
      } catch (error) {
        linePath.close()
        lost(error as Error)
      }
    }, lost)
  }

  #pathLost(path: LinePath, error: Error | undefined): void {
    this.#line.detach(path)
    if (this.#line.over) return
    const why = error ?? new Error('the connection ended')
    if (this.#key) this.#seek(why.message)
    else this.#line.destroy(why)
  }

  readonly #tick = (): void => {
    const { clock, wall } = this.#options
    this.#cancelTick = clock.after(TICK_MS, this.#tick)
    const now = clock.now()
    const drift = wall() - now
    const slept = drift - this.#drift
    this.#drift = drift
    if (!this.#key) return
    // A path that is suspected for so long is as good as none.
    if (this.#state.name === 'suspected' && now - this.#state.since > SUSPECT_MS) this.#state.interrupted()
    if (slept > SLEPT_MS) this.suspect(`the machine slept for ${Math.round(slept / 1000)} s`)
    else if (this.#line.current && !this.#search) this.#look(this.#line.current, now)
  }

  /** Is the path that carries the line alive? */
  #look(path: LinePath, now: number): void {
    const doubt = this.#probes.doubt(now, this.#line.waitingSince)
    if (doubt) {
      this.#seek(doubt)
      return
    }
    this.#moves.look(path)
    if (this.#probes.sentAt === undefined && now - this.#heard > PROBE_EVERY_MS) this.#probes.send(path, now)
  }

  #probed(path: LinePath, body: Buffer): void {
    if (path !== this.#line.current) return
    if (!this.#probes.answered(body, this.#options.clock.now(), this.#search === undefined)) return
    this.#state.roundTripMs = this.#probes.roundTripMs
    this.#alive()
  }

  /** The path that carries the line works: a search for another one is over. */
  #alive(): void {
    this.#heard = this.#options.clock.now()
    if (!this.#search || !this.#line.current) return
    this.#search.stop()
    this.#search = undefined
    this.#gapOver()
  }

  /** Looks for another path, beside the one there is, `pauseMs` from now. */
  #seek(cause: string, pauseMs = this.#rests.before(this.#options.clock.now())): void {
    if (this.#search) return
    const { clock, log } = this.#options
    log(`the line is ${this.#line.current ? 'suspected' : 'interrupted'}: ${cause}`)
    this.#state.broken(this.#line.current ? 'suspected' : 'interrupted', cause, clock.now())
    // The path that is suspected may answer after all.
    if (this.#line.current) this.#probes.send(this.#line.current, clock.now())
    this.#search = new Search({
      ...this.#options,
      pauseMs,
      attempt: (signal) => this.#attempt(signal),
      isAlive: () => this.isAlive(),
      patienceMs: this.#patienceMs,
      gone: (why) => this.#line.destroy(new TunnelError('lost', why, '`kt logs` has more')),
    })
  }

  /** One attempt at a new path. Resolves when it carries the line; rejects when it came to nothing. */
  async #attempt(signal: AbortSignal): Promise<void> {
    const path = await this.#options.dial(signal)
    const linePath = new LinePath(path)
    const { received } = this.#line
    await resumeOver(
      linePath,
      { key: this.#key!, attempt: { id: this.#id, counter: ++this.#counter, received } },
      {
        read: (isOpen, onFrame, onLost) => this.#read(path, linePath, isOpen, onFrame, undefined, onLost),
        couldHave: (received) => this.#line.couldHave(received),
        resumed: (received) => this.#adopt(linePath, received),
      },
      signal,
    )
  }

  #adopt(path: LinePath, received: number): void {
    // What was acknowledged counts as a sign of life, which ends a search as well: one of both is enough.
    this.#search?.stop()
    this.#search = undefined
    this.#rests.adopted(this.#options.clock.now())
    const before = this.#line.current
    this.#line.attach(path, received)
    if (before && !this.#moves.keep(before)) before.close()
    this.#probes.forget()
    this.#heard = this.#options.clock.now()
    this.#currentSince = this.#heard
    if (this.#state.name === 'open') {
      this.#state.moved()
      return
    }
    this.#state.resumed()
    this.#gapOver()
  }

  #gapOver(): void {
    const { clock, log } = this.#options
    log(`the line goes on after ${Math.round(this.#state.mended(clock.now()))} ms`)
  }

  get #patienceMs(): number {
    return patienceMs(this.#state.roundTripMs)
  }

  #paths(): LinePathReport[] {
    const { current } = this.#line
    if (!current) return []
    const { way, fate } = current.path
    return [{ way, ageMs: this.#options.clock.now() - this.#currentSince, endsInMs: fate?.()?.endInMs }]
  }

  #over(): void {
    this.#cancelTick?.()
    this.#search?.stop()
    this.#search = undefined
    this.#moves.close()
  }
}
