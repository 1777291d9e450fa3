// Keeps asking the engine while pages look on, and tells them what is new. Without an engine it waits for one, so a page
// that was opened too early comes alive with `kt up`.
import { type ControlClient, ControlFailure, connectControl } from '../control/client.ts'
import type { Held, Status } from '../control/protocol.ts'
import type { DnsLogEntry, Sample } from '../control/views.ts'
import { FlowTable } from './flow-changes.ts'
import type { HolderLook } from './holder-look.ts'
import type { Connection, Forwarded, Listed, Messages, RequestRow, RequestsTold, Topic } from './model.ts'

const TICK_MS = 1_000
// Lists in the cluster: often enough that the process which asks for them stays (it ends after 10 s without a question).
const LIST_MS = 8_000
/** As many questions as the engine keeps. */
const MOST_NAMES = 500
/** As many as a holder keeps. */
const MOST_REQUESTS = 500
/** Ten minutes, one a second, as the engine keeps them. */
const MOST_SAMPLES = 600

/** A status takes the engine milliseconds, on a machine with other work a second. */
const PATIENCE_MS = 10_000
const HANGS = {
  code: 'engine-hangs',
  message: 'kt runs and does not answer',
  hint: '`kt logs` may say why; `kt down` ends it',
}

export interface FeedDeps {
  /** The engine's socket. */
  socket: string
  /** What this user holds on this machine, and the requests that came since the look before. */
  look(): Promise<HolderLook>
  forwards(): Forwarded[]
  /** Called when a page must be told. */
  tell<T extends Topic>(topic: T, message: Messages[T]): void
  /** Is there a page? Without one only the curves go on. */
  watched(): boolean
  /** ms since 1970. */
  now(): number
  /** How long the engine may take for an answer. */
  patienceMs?: number
}

export class Feed {
  readonly #deps: FeedDeps
  #samples: Sample[] = []
  /** The engine's, whose samples these are. */
  #pid = 0
  #flows = new FlowTable()
  #connection: Connection = { engine: 'none', message: '', status: null }
  #services: Messages['services'] = { data: null, error: null }
  #team: Messages['team'] = { data: null, error: null }
  #held: Held[] = []
  #names: DnsLogEntry[] = []
  #requests: RequestRow[] = []
  #unread: Omit<RequestsTold, 'reset' | 'entries'> = { unread: 0, notes: [], bodies: false }
  #forwards: Forwarded[] = []
  #client: ControlClient | undefined
  #timer: NodeJS.Timeout | undefined
  #listedAt = 0
  #closed = false

  constructor(deps: FeedDeps) {
    this.#deps = deps
  }

  start(): void {
    void this.#tick()
  }

  /** Everything, for a page that has just come. */
  snapshot(): Messages {
    return {
      connection: this.#connection,
      samples: { reset: true, samples: this.#samples },
      flows: this.#flows.all(),
      services: this.#services,
      team: this.#team,
      held: this.#held,
      names: { reset: true, entries: this.#names },
      requests: { reset: true, entries: this.#requests, ...this.#unread },
      forwards: this.#forwards,
    }
  }

  /** A page has come: what is only asked for when somebody looks is asked for now. */
  wake(): void {
    this.#listedAt = 0
  }

  /** A connection to the engine. Rejects with ControlFailure when there is none. */
  async engine(): Promise<ControlClient> {
    if (this.#client) return this.#client
    const { client } = await connectControl(this.#deps.socket)
    if (!client) throw new ControlFailure({ code: 'not-connected', message: 'not connected', hint: '`kt up` connects' })
    this.#client = client
    return client
  }

  /** Of the kubeconfig that the engine is connected with; undefined without one. */
  context(): string | undefined {
    return this.#connection.status?.context || undefined
  }

  /**
   * What the page begins must be begun in the cluster that the page shows. Another kubeconfig may have a context of the same
   * name. Rejects with ControlFailure where `selection` leads to another cluster than the engine's.
   */
  async requireSameCluster(
    selection: { kubeconfig?: string; context?: string },
    { KUBECONFIG }: NodeJS.ProcessEnv,
  ): Promise<void> {
    const namespace = this.#connection.status?.namespace
    const { same, wanted, current } = await (await this.engine()).request('same', {
      ...selection,
      namespace,
      env: { ...(KUBECONFIG !== undefined && { KUBECONFIG }) },
    })
    if (!same)
      throw new ControlFailure({
        code: 'another-cluster',
        message: `kt is connected to ${current}, but this page would begin it in ${wanted}`,
        hint: 'start `kt dashboard` with the --kubeconfig and --context of `kt up`',
      })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#drop()
  }

  async #tick(): Promise<void> {
    await Promise.all([this.#look(), this.#lookAtHeld()])
    if (!this.#closed) this.#timer = setTimeout(() => void this.#tick(), TICK_MS)
  }

  async #look(): Promise<void> {
    try {
      this.#client ??= (await this.#connect()) ?? undefined
      if (!this.#client) return
      const status = await this.#inTime(this.#client.request('status', {}))
      this.#connected(status)
      await this.#lookAtSamples(this.#client).catch(onlyLoss)
      if (!this.#deps.watched() || status.state === 'connecting' || status.state === 'disconnecting') return
      this.#list()
      await this.#lookAtFlows(this.#client).catch(onlyLoss)
      await this.#lookAtNames(this.#client).catch(onlyLoss)
    } catch (error) {
      this.#drop()
      this.#lost({ engine: 'none', message: '', status: null }, error)
    }
  }

  async #lookAtSamples(client: ControlClient): Promise<void> {
    const { samples } = await this.#inTime(client.request('samples', { since: this.#samples.at(-1)?.at ?? 0 }))
    if (samples.length === 0) return
    this.#samples = [...this.#samples, ...samples].slice(-MOST_SAMPLES)
    this.#deps.tell('samples', { reset: false, samples })
  }

  async #lookAtFlows(client: ControlClient): Promise<void> {
    const changes = this.#flows.update(await this.#inTime(client.request('flows', {})), this.#deps.now())
    if (changes) this.#deps.tell('flows', changes)
  }

  async #lookAtNames(client: ControlClient): Promise<void> {
    const { entries } = await this.#inTime(client.request('dns.log', { since: this.#names.at(-1)?.seq }))
    if (entries.length === 0) return
    this.#names = [...this.#names, ...entries].slice(-MOST_NAMES)
    this.#deps.tell('names', { reset: false, entries })
  }

  /** Rejects when the engine takes too long. */
  #inTime<T>(answer: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new ControlFailure(HANGS)), this.#deps.patienceMs ?? PATIENCE_MS)
    return Promise.race([answer, late.promise]).finally(() => clearTimeout(timer))
  }

  async #lookAtHeld(): Promise<void> {
    if (!this.#deps.watched()) return
    // A folder that cannot be read now says nothing new.
    const nothing = { held: this.#held, entries: [], ...this.#unread }
    const { held, entries, ...unread } = await this.#deps.look().catch(() => nothing)
    this.#tellRequests(entries, unread)
    const forwards = this.#deps.forwards()
    if (JSON.stringify(forwards) !== JSON.stringify(this.#forwards)) this.#deps.tell('forwards', forwards)
    this.#forwards = forwards
    if (held.length + this.#held.length === 0) return
    this.#held = held
    this.#deps.tell('held', held)
  }

  #tellRequests(entries: RequestRow[], unread: Omit<RequestsTold, 'reset' | 'entries'>): void {
    if (entries.length === 0 && JSON.stringify(unread) === JSON.stringify(this.#unread)) return
    this.#unread = unread
    this.#requests = [...this.#requests, ...entries].slice(-MOST_REQUESTS)
    this.#deps.tell('requests', { reset: false, entries, ...unread })
  }

  async #connect(): Promise<ControlClient | null> {
    try {
      const { client, stale } = await connectControl(this.#deps.socket)
      if (client) return client
      this.#lost({ engine: stale ? 'stale' : 'none', message: '', status: null })
    } catch (error) {
      const { message, hint } = error as ControlFailure
      this.#lost({ engine: 'denied', message: `${message}; ${hint}`, status: null })
    }
    return null
  }

  #connected(status: Status): void {
    this.#connection = { engine: 'up', message: '', status }
    this.#deps.tell('connection', this.#connection)
    if (status.pid === this.#pid) return
    this.#pid = status.pid
    this.#samples = []
    this.#deps.tell('samples', { reset: true, samples: [] })
  }

  #lost(connection: Connection, error?: unknown): void {
    // An engine that answers with an error is there; it is told as it says so.
    if (error instanceof ControlFailure && error.code !== 'engine-lost')
      connection = { ...connection, engine: 'denied', message: `${error.message}; ${error.hint}` }
    const same = connection.engine === this.#connection.engine && connection.message === this.#connection.message
    this.#connection = connection
    if (same) return
    this.#deps.tell('connection', connection)
    this.#pid = 0
    this.#flows = new FlowTable()
    this.#services = { data: null, error: null }
    this.#team = { data: null, error: null }
    this.#names = []
    this.#listedAt = 0
    this.#deps.tell('flows', this.#flows.all())
    this.#deps.tell('services', this.#services)
    this.#deps.tell('team', this.#team)
    this.#deps.tell('names', { reset: true, entries: [] })
  }

  /** What takes a question to the cluster does not keep the rest waiting. */
  #list(): void {
    const now = this.#deps.now()
    if (now - this.#listedAt < LIST_MS) return
    this.#listedAt = now
    const client = this.#client!
    const ask = async <T>(question: Promise<T>, before: Listed<T>, take: (listed: Listed<T>) => void) => {
      let listed: Listed<T>
      try {
        listed = { data: await question, error: null }
      } catch (error) {
        listed = { data: before.data, error: (error as Error).message }
      }
      if (this.#client === client && JSON.stringify(listed) !== JSON.stringify(before)) take(listed)
    }
    void ask(client.request('services', {}), this.#services, (listed) => {
      this.#services = listed
      this.#deps.tell('services', listed)
    })
    void ask(client.request('team', {}), this.#team, (listed) => {
      this.#team = listed
      this.#deps.tell('team', listed)
    })
  }

  #drop(): void {
    this.#client?.close()
    this.#client = undefined
  }
}

/** A list that is refused leaves what was listed before; an engine that has gone, or hangs, is another matter. */
function onlyLoss(error: unknown): void {
  if (!(error instanceof ControlFailure) || error.code === 'engine-lost' || error.code === HANGS.code) throw error
}
