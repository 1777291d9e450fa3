// The client's line: opens it over a first path, and finds another path when one is lost or is suspected to be.
import type { Clock } from '../../base/clock.ts'
import { TunnelError } from '../errors.ts'
import type { Turns } from '../transport/gatherer.ts'
import type { Path } from '../transport/path.ts'
import type { Transport } from '../transport/transport.ts'
import type { LineReport, TunnelLine } from '../tunnel.ts'
import { Backoff } from './backoff.ts'
import { greeted, LineFrame, lineFrame } from './frames.ts'
import { Line } from './line.ts'
import { LinePath } from './line-path.ts'
import { LineState } from './line-state.ts'
import { Moves } from './moves.ts'
import { ID_BYTES, KEY_BYTES, type Purpose } from './proof.ts'
import { type Reading, readPath } from './reader.ts'
import { Resumer } from './resume.ts'
import { attemptTimeoutMs, Search } from './search.ts'
import { SecondPath } from './second-path.ts'
import { SleepDetector } from './sleep-detector.ts'
import { Watch } from './watch.ts'

/** A path is looked at so often. */
const TICK_MS = 250

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
  readonly #resumer: Resumer
  #unknownHere = false
  readonly #watch: Watch
  readonly #backoff = new Backoff()
  readonly #sleepDetector: SleepDetector
  #cancelTick: () => void
  #search: Search | undefined
  readonly #state: LineState
  readonly #moves: Moves
  readonly #secondPath: SecondPath

  private constructor(options: LineClientOptions) {
    const { clock, turns, wall, random, paths = 1 } = options
    this.#options = options
    this.isAlive = options.isAlive
    this.#id = random(ID_BYTES)
    this.#sleepDetector = new SleepDetector(clock, wall)
    this.#state = new LineState(
      clock.now(),
      () => this.#report(paths),
      (report) => this.onChange(report),
    )
    const attempts = (purpose: Purpose) => ({
      ...options,
      attempt: (signal: AbortSignal) => this.#resumer.attempt(signal, purpose),
      timeoutMs: () => attemptTimeoutMs(this.#state.roundTripMs),
    })
    this.#moves = new Moves(attempts('resume'))
    this.#secondPath = new SecondPath({ ...attempts('join'), changed: () => this.#state.pathsChanged() })
    this.#line = new Line({
      ...{ clock, turns },
      onProgress: () => this.#alive(),
      onParted: (why, wasFirst) => this.#parted(why, wasFirst),
      onOver: () => this.#over(),
    })
    this.#watch = new Watch(this.#line)
    this.#resumer = new Resumer({
      ...options,
      ...{ id: this.#id, line: this.#line },
      read: (path, reading) => this.#read(path, reading),
      resumed: (purpose, path, received, tripMs) => {
        if (purpose === 'resume') return this.#adopt(path, received, tripMs)
        this.#line.join(path, received)
        this.#watch.joined(tripMs)
      },
    })
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
    this.#resumer.key = key
    if ((this.#options.paths ?? 1) < 2) return
    if (agentPaths < 2) this.#secondPath.impossible('the agent of this shadow is of an older kt')
    else this.#secondPath.want()
  }

  /** Something has happened that may have broken the path: another route, another address. */
  suspect(cause: string): void {
    if (this.#search) this.#search.hurry()
    else if (this.#resumer.key && !this.#line.over) this.#seek(cause, 0)
  }

  #begin(path: Path): void {
    const { clock } = this.#options
    const begun = clock.now()
    const linePath = new LinePath(path, begun)
    this.#read(linePath, {
      isOpen: () => true,
      onFrame: (type, body) => {
        if (type === LineFrame.refused) this.#end(`the agent: ${body.subarray(1)}`)
        if (type !== LineFrame.opened) return
        this.#watch.opened(clock.now() - begun)
        this.#state.roundTripMs = this.#watch.roundTripMs
      },
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
      ...this.#options,
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
        if (this.#resumer.key) this.#seek(why.message)
        else this.#line.destroy(why)
      },
    })
  }

  /** One of two paths is gone. */
  #parted(why: string, wasFirst: boolean): void {
    if (wasFirst) this.#watch.promoted()
    this.#state.roundTripMs = this.#watch.roundTripMs
    // The agent may know nothing of it, and gives up the one that has been silent for longer when there is a new one.
    this.#watch.askAll(this.#options.clock.now())
    this.#secondPath.lost(why)
  }

  readonly #tick = (): void => {
    const { clock } = this.#options
    this.#cancelTick = clock.after(TICK_MS, this.#tick)
    const now = clock.now()
    const slept = this.#sleepDetector.take()
    if (!this.#resumer.key) return
    if (this.#search) this.#state.searching(now, this.#watch.heardAt)
    if (slept) this.suspect(`the machine slept for ${Math.round(slept / 1000)} s`)
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
      if (!this.#line.isStriped) this.#secondPath.look()
      this.#watch.ask(now)
    }
  }

  #probed(path: LinePath, body: Buffer): void {
    if (!this.#watch.takeAnswer(path, body, this.#options.clock.now(), this.#search === undefined)) return
    this.#state.roundTripMs = this.#watch.roundTripMs
    this.#alive()
  }

  /** What carries the line works: a search for another path is over. */
  #alive(): void {
    if (!this.#search) return
    this.#search.stop()
    this.#search = undefined
    this.#gapOver('old')
  }

  /** Looks for another path, beside the one there is, `pauseMs` from now; by default as the back-off says. */
  #seek(cause: string, pauseMs?: number): void {
    const { clock, log } = this.#options
    const now = clock.now()
    if (this.#search) {
      this.#state.searching(now, this.#watch.heardAt)
      return
    }
    const state = this.#line.current ? 'suspected' : 'interrupted'
    log(`the line is ${state}: ${cause}`)
    const { waitingSince } = this.#watch
    this.#state.broken(state, cause, now, state === 'interrupted' ? (waitingSince ?? now) : waitingSince)
    this.#secondPath.stop()
    // What is suspected may answer after all.
    this.#watch.askAll(now)
    this.#search = new Search({
      ...this.#options,
      pauseMs: pauseMs ?? this.#backoff.nextMs(now),
      attempt: (signal) => this.#resumer.attempt(signal, 'resume'),
      isAlive: () => this.isAlive(),
      roundTripMs: this.#state.roundTripMs,
      gone: (why) => this.#end(why),
    })
  }

  #end(why: string): void {
    this.#line.destroy(new TunnelError('lost', why, '`kt logs` has more'))
  }

  #adopt(path: LinePath, received: number, tripMs: number): void {
    // What was acknowledged counts as a sign of life, which ends a search as well: one of both is enough.
    this.#search?.stop()
    this.#search = undefined
    this.#backoff.adopted(this.#options.clock.now())
    this.#secondPath.stop()
    const { current: before, waitingSince } = this.#line
    this.#line.attach(path, received)
    if (before && !this.#moves.keep(before)) before.close()
    this.#watch.moved(tripMs)
    this.#state.roundTripMs = tripMs
    if (this.#state.name === 'open') {
      this.#state.moved()
      return
    }
    this.#state.resumed()
    this.#gapOver('new', waitingSince)
  }

  #gapOver(over: 'new' | 'old', waitedFor?: number): void {
    const { clock, log } = this.#options
    log(`the line goes on after ${Math.round(this.#state.mended(clock.now(), over, waitedFor))} ms`)
  }

  #report(wantedPaths: number): Pick<LineReport, 'paths' | 'wantedPaths' | 'missingPath'> {
    const paths = this.#line.paths.map((path) => path.report(this.#options.clock.now()))
    return { paths, wantedPaths, missingPath: paths.length < wantedPaths ? this.#secondPath.trouble : undefined }
  }

  #over(): void {
    this.#cancelTick?.()
    this.#search?.stop()
    this.#search = undefined
    this.#moves.close()
    this.#secondPath.stop()
  }
}
