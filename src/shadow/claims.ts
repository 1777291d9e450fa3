// Who has claimed which port of the agent. A port has one claimant, one with HTTP routing one for each match; a claimant that
// does not answer any more loses its claim to the next who asks.
import { type ListenRequest, readListen } from '../tunnel/agent-protocol/bodies.ts'
import { FrameType } from '../tunnel/agent-protocol/frames.ts'
import { ANSWER_MS, type Claimant } from './claimant.ts'
import type { AgentPort } from './ports.ts'

/** A caller waits no longer than this, whatever the client says. */
const MAX_PATIENCE_MS = 10_000

export interface Claim {
  readonly id: number
  readonly claimant: Claimant
  readonly port: AgentPort
  readonly match: ListenRequest['match']
  /** How long its claimant may take to answer, ms. */
  readonly patience: number
}

interface Entry extends Claim {
  state: 'asked' | 'held' | 'over'
}

export class Claims {
  readonly ports: readonly AgentPort[]
  /** Called when somebody has got a port. */
  onHeld: (port: AgentPort) => void = () => {}
  readonly #log: (line: string) => void
  readonly #entries = new Set<Entry>()

  constructor(ports: readonly AgentPort[], log: (line: string) => void) {
    this.ports = ports
    this.#log = log
  }

  /** Answers a LISTEN with one frame, at once or after the former holder was asked. */
  async claim(claimant: Claimant, id: number, body: Buffer): Promise<void> {
    const wanted = this.#read(body)
    const failed = (words: string) => claimant.send(FrameType.listenFailed, id, Buffer.from(words))
    if (typeof wanted === 'string') return failed(wanted)
    const { port, match, patience } = wanted
    const name = nameOf(wanted)
    for (const other of this.#entries)
      if (other.claimant === claimant && other.port === port)
        return failed(`EADDRINUSE: ${name} is claimed by this session`)
    const entry: Entry = { id, claimant, port, match, patience, state: 'asked' }
    this.#entries.add(entry)
    for (let holder = this.#holder(wanted); holder; holder = this.#holder(wanted)) {
      if (await holder.claimant.probe()) {
        if (entry.state === 'over') return
        this.#end(entry)
        return failed(`EADDRINUSE: ${name} is claimed by another client`)
      }
      if (entry.state === 'over') return
      if (holder.state !== 'held') continue
      this.#end(holder)
      this.#log(`${name}: its claimant does not answer and loses it`)
      holder.claimant.send(
        FrameType.listenFailed,
        holder.id,
        Buffer.from(`EADDRINUSE: ${name} was claimed by another client`),
      )
    }
    entry.state = 'held'
    this.#log(`${name} is claimed`)
    claimant.send(FrameType.listening, id)
    // What is brought to it from now on comes behind that.
    this.onHeld(port)
  }

  release(claimant: Claimant, id: number): void {
    for (const entry of this.#entries) if (entry.claimant === claimant && entry.id === id) this.#released(entry)
  }

  /** The session is gone. */
  lose(claimant: Claimant): void {
    for (const entry of this.#entries) if (entry.claimant === claimant) this.#released(entry)
    claimant.lose()
  }

  /** The claims of a port whose claimants answer. */
  *of(port: AgentPort): Iterable<Claim> {
    for (const entry of this.#entries)
      if (entry.port === port && entry.state === 'held' && !entry.claimant.silent) yield entry
  }

  /** The claim of a port without HTTP routing, if its claimant answers. */
  holder(port: AgentPort): Claim | undefined {
    for (const claim of this.of(port)) return claim
    return undefined
  }

  #holder({ port, match }: Pick<Claim, 'port' | 'match'>): Entry | undefined {
    for (const entry of this.#entries)
      if (entry.state === 'held' && entry.port === port && same(entry.match, match)) return entry
    return undefined
  }

  #released(entry: Entry): void {
    if (entry.state === 'held') this.#log(`${nameOf(entry)} is free`)
    this.#end(entry)
  }

  #end(entry: Entry): void {
    entry.state = 'over'
    this.#entries.delete(entry)
  }

  #read(body: Buffer): Wanted | string {
    const read = readListen(body)
    if ('wrong' in read) return `EINVAL: ${read.wrong}`
    const { match } = read.body
    const port = this.ports.find((one) => one.port === read.body.port && one.protocol === read.body.protocol)
    if (!port) return `EADDRNOTAVAIL: the agent does not serve ${read.body.protocol} ${read.body.port}`
    if (port.http !== (match !== undefined))
      return port.http
        ? `EINVAL: ${port.protocol} ${port.port} is claimed by a header`
        : `EINVAL: ${port.protocol} ${port.port} cannot be claimed by a header`
    const patience = Math.min(MAX_PATIENCE_MS, Math.max(ANSWER_MS, read.body.patience ?? 0))
    return { port, match, patience }
  }
}

type Wanted = Pick<Claim, 'port' | 'match' | 'patience'>

function same(a: ListenRequest['match'], b: ListenRequest['match']): boolean {
  return (
    a?.header.toLowerCase() === b?.header.toLowerCase() &&
    a?.value === b?.value &&
    (a?.prefix ?? false) === (b?.prefix ?? false)
  )
}

function nameOf({ port, match }: Pick<Claim, 'port' | 'match'>): string {
  const what = match
    ? ` with ${JSON.stringify(match.header)}: ${JSON.stringify(match.value)}${match.prefix ? ' and longer' : ''}`
    : ''
  return `${port.protocol} ${port.port}${what}`
}
