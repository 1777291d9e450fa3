// The client's line: opens it over a first path, and finds another path when one is lost or is suspected to be.
import type { Clock } from '../../base/clock.ts'
import { TunnelError } from '../errors.ts'
import type { Turns } from '../transport/gatherer.ts'
import type { Path } from '../transport/path.ts'
import type { Transport } from '../transport/transport.ts'
import type { LineReport, TunnelLine } from '../tunnel.ts'
import { greeted, LineFrame, lineFrame } from './frames.ts'
import { Line } from './line.ts'
import { LinePath } from './line-path.ts'
import { LineState } from './line-state.ts'
import { Moves } from './moves.ts'
import { SUSPECT_MS } from './probes.ts'
import { ID_BYTES, KEY_BYTES, type Purpose } from './proof.ts'
import { type Reading, readPath } from './reader.ts'
import { Rests } from './rests.ts'
import { resumeOver } from './resume.ts'
import { patienceMs, Search } from './search.ts'
import { Second } from './second.ts'
import { Watch } from './watch.ts'

/** A path is looked at so often. */
const TICK_MS = 250
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
  /** Paths at a time, 1 if undefined: docs/understand/line.md, "Two paths at once". */
  paths?: number
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
  readonly #watch: Watch
  readonly #rests = new Rests()
  #drift: number
  #cancelTick: () => void
  #search: Search | undefined
  readonly #state: LineState
  readonly #moves: Moves
  readonly #second: Second

  private constructor(options: LineClientOptions) {
    const { clock, turns, wall, random, paths = 1 } = options
    this.#options = options
    this.isAlive = options.isAlive
    this.#id = random(ID_BYTES)
    this.#drift = wall() - clock.now()
    this.#state = new LineState(
      clock.now(),
      () => this.#report(paths),
      (report) => this.onChange(report),
    )
    this.#moves = new Moves({
      ...options,
      attempt: (signal) => this.#attempt(signal, 'resume'),
      patienceMs: () => patienceMs(this.#state.roundTripMs),
    })
    this.#second = new Second({
      ...options,
      attempt: (signal) => this.#attempt(signal, 'join'),
      patienceMs: () => patienceMs(this.#state.roundTripMs),
      changed: () => this.#state.pathsChanged(),
    })
    this.#line = new Line({
      ...{ clock, turns },
      onProgress: () => this.#alive(),
      onParted: (why, wasFirst) => {
        if (wasFirst) this.#watch.promoted()
        this.#second.lost(why)
      },
      onOver: () => this.#over(),
    })
    this.#watch = new Watch(this.#line)
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

  /** Bytes that wait for those in front of them, which went over the other path. */
  get early(): number {
    return this.#line.early
  }

  get report(): LineReport {
    return this.#state.report
  }

  /** A new key; to be sent to the agent inside the session. From `secure` on the line outlives its paths. */
  newKey(): Buffer {
    return this.#options.random(KEY_BYTES)
  }

  /** The agent has taken the key, and goes with so many paths at a time. */
  secure(key: Buffer, agentPaths: number): void {
    this.#key = key
    if ((this.#options.paths ?? 1) < 2) return
    if (agentPaths < 2) this.#second.impossible('the agent of this shadow is of an older kt')
    else this.#second.want()
  }

  /** Something has happened that may have broken the path: another route, another address. */
  suspect(cause: string): void {
    if (this.#search) this.#search.hurry()
    else if (this.#key && !this.#line.over) this.#seek(cause, 0)
  }

  #begin(path: Path): void {
    const linePath = new LinePath(path, this.#options.clock.now())
    this.#read(linePath, {
      isOpen: () => true,
      // An agent that does not know lines says at once that it is an SSH server.
      onFirst: (first) => {
        if (String.fromCharCode(first[0]) !== 'S') return
        this.#unknownHere = true
        this.#line.destroy(new Error('the agent does not know lines'))
      },
    })
    linePath.send(greeted(lineFrame(LineFrame.open, this.#id)))
    this.#line.attach(linePath, 0)
  }

  /** Starts reading a path. `onFrame` gets the frames of its opening, `onFirst` the first bytes. */
  #read(path: LinePath, { isOpen, onFrame = () => {}, onFirst, onLost }: Reading): void {
    readPath(path, {
      clock: this.#options.clock,
      line: () => (isOpen() ? this.#line : undefined),
      onFrame: (type, body) => {
        if (type === LineFrame.probed) this.#probed(path, body)
        else onFrame(type, body)
      },
      onFirst,
      onLost: (error) => {
        onLost?.(error)
        if (!this.#line.carriedBy(path)) return
        const why = error ?? new Error('the connection ended')
        this.#line.detach(path, why.message)
        if (this.#line.over || this.#line.current) return
        if (this.#key) this.#seek(why.message)
        else this.#line.destroy(why)
      },
    })
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
    else if (!this.#search) this.#look(now)
  }

  /** Is what carries the line alive? */
  #look(now: number): void {
    const { current } = this.#line
    if (!current) return
    const doubt = this.#watch.doubt(now)
    if (doubt?.path) this.#line.giveUp(doubt.path, doubt.why)
    else if (doubt) this.#seek(doubt.why)
    else {
      this.#moves.look(current)
      if (!this.#line.isStriped) this.#second.look()
      this.#watch.ask(now)
    }
  }

  #probed(path: LinePath, body: Buffer): void {
    if (!this.#watch.answered(path, body, this.#options.clock.now(), this.#search === undefined)) return
    this.#state.roundTripMs = this.#watch.roundTripMs
    this.#alive()
  }

  /** What carries the line works: a search for another path is over. */
  #alive(): void {
    if (!this.#search || !this.#line.current) return
    this.#search.stop()
    this.#search = undefined
    this.#gapOver()
  }

  /** Looks for another path, beside the one there is, `pauseMs` from now. */
  #seek(cause: string, pauseMs = this.#rests.before(this.#options.clock.now())): void {
    if (this.#search) return
    const { clock, log } = this.#options
    const state = this.#line.current ? 'suspected' : 'interrupted'
    log(`the line is ${state}: ${cause}`)
    this.#state.broken(state, cause, clock.now())
    this.#second.stop()
    // What is suspected may answer after all.
    this.#watch.askAll(clock.now())
    this.#search = new Search({
      ...this.#options,
      pauseMs,
      attempt: (signal) => this.#attempt(signal, 'resume'),
      isAlive: () => this.isAlive(),
      patienceMs: patienceMs(this.#state.roundTripMs),
      gone: (why) => this.#line.destroy(new TunnelError('lost', why, '`kt logs` has more')),
    })
  }

  /** One attempt at a new path. Resolves when it carries the line; rejects when it came to nothing. */
  async #attempt(signal: AbortSignal, purpose: Purpose): Promise<void> {
    const path = await this.#options.dial(signal)
    const linePath = new LinePath(path, this.#options.clock.now())
    const { received } = this.#line
    // What the first path brings may overtake the answer.
    if (purpose === 'join') this.#line.expectEarly()
    await resumeOver(
      linePath,
      { key: this.#key!, attempt: { id: this.#id, counter: ++this.#counter, received }, purpose },
      {
        read: (reading) => this.#read(linePath, reading),
        couldHave: (received) => this.#line.couldHave(received),
        resumed: (received) => {
          if (purpose === 'resume') return this.#adopt(linePath, received)
          this.#line.join(linePath, received)
          this.#watch.joined()
        },
      },
      signal,
    )
  }

  #adopt(path: LinePath, received: number): void {
    // What was acknowledged counts as a sign of life, which ends a search as well: one of both is enough.
    this.#search?.stop()
    this.#search = undefined
    this.#rests.adopted(this.#options.clock.now())
    this.#second.stop()
    const before = this.#line.current
    this.#line.attach(path, received)
    if (before && !this.#moves.keep(before)) before.close()
    this.#watch.moved()
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

  #report(wantedPaths: number): Pick<LineReport, 'paths' | 'wantedPaths' | 'missingPath'> {
    const paths = this.#line.paths.map((path) => path.report(this.#options.clock.now()))
    return { paths, wantedPaths, missingPath: paths.length < wantedPaths ? this.#second.trouble : undefined }
  }

  #over(): void {
    this.#cancelTick?.()
    this.#search?.stop()
    this.#search = undefined
    this.#moves.close()
    this.#second.stop()
  }
}
