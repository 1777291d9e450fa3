// Requests to the API server: JSON in and out, watches, errors as ClusterError. Plain node:https, since the classes of
// @kubernetes/client-node cost four times the start-up.
import type { IncomingMessage } from 'node:http'
import { StringDecoder } from 'node:string_decoder'
import { type Clock, delay, systemTime, type Time } from '../base/clock.ts'
import { Agents } from './agents.ts'
import { ClusterError } from './calls.ts'
import { CredentialSource, type Credentials, type PluginMemory } from './credentials.ts'
import { fromStatus, fromTransport, type Status } from './errors.ts'
import type { Kubeconfig } from './kubeconfig.ts'
import type { PluginSetting } from './plugin.ts'
import { unfitAnswer } from './refusal.ts'
import { aborted, Cut, type RequestExtras, readBody, requestOnce } from './request.ts'
import { nextTry } from './retry.ts'

export { aborted, type RequestExtras }

export interface ApiAnswer<T> {
  body: T
  /** The API server's clock, ms since 1970; NaN where it did not say. */
  serverTime: number
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  object: T
}

export interface ApiOptions {
  /** How a person takes part when a credential plugin runs. Default: not at all. */
  plugin?: PluginSetting
  /** Default: this process's. */
  memory?: PluginMemory
  /** Default: this machine's. */
  time?: Time
  /** Default: by the clock. Resolves after so many ms, or when the signal aborts. */
  sleep?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

interface Answer {
  response: IncomingMessage
  status: number
  /** Undefined while it has not been read, which is so for a success only. */
  body: unknown
}

export class Api {
  readonly #load: () => Kubeconfig
  readonly #source: CredentialSource
  readonly #sleep: NonNullable<ApiOptions['sleep']>
  readonly #clock: Clock
  readonly #agents: Agents
  #current: Kubeconfig

  /** `load` is called again when credentials were refused: the files may have changed since. Throws as `load` does. */
  constructor(load: () => Kubeconfig, { plugin, memory, time = systemTime, sleep }: ApiOptions = {}) {
    this.#load = load
    this.#clock = time.clock
    this.#agents = new Agents(time.clock)
    this.#source = new CredentialSource(plugin ?? { terminal: () => undefined, said: () => {} }, memory, time)
    this.#sleep = sleep ?? ((ms, signal) => delay(ms, signal, time.clock))
    this.#current = load()
  }

  get kubeconfig(): Kubeconfig {
    return this.#current
  }

  async get<T>(path: string, query?: Record<string, string>, signal?: AbortSignal): Promise<T> {
    return (await this.send<T>('GET', path, { query, signal })).body
  }

  /** Throws ClusterError for every answer that is not 2xx and for every failure to get one. */
  async send<T>(method: string, path: string, extras: RequestExtras = {}): Promise<ApiAnswer<T>> {
    const { response, status, body } = await this.#whole(method, path, extras)
    if (!isOk(status)) throw fromStatus(status, body, extras.doing ?? `${method} ${path}`)
    return { body: body as T, serverTime: serverTime(response) }
  }

  /** As `send`, but a refusal is a value: for questions whose answer is the error (see ranges.ts). */
  async ask(method: string, path: string, extras: RequestExtras = {}): Promise<{ status: number; body: Status }> {
    const { status, body } = await this.#whole(method, path, extras)
    return { status, body: body as Status }
  }

  /**
   * Events of one watch, from what is there now on, until `signal` aborts or the API server ends it (minutes). An
   * ERROR event (410: too old) is thrown.
   */
  async *watch<T>(path: string, query: Record<string, string>, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
    const asked = { query: { ...query, watch: 'true' }, signal }
    const { response, status, body } = await this.#patiently('GET', signal, () => this.#accepted('GET', path, asked))
    if (!isOk(status)) throw fromStatus(status, body, `watching ${path}`)
    try {
      for await (const line of lines(response)) {
        const event = JSON.parse(line) as WatchEvent<T>
        if (event.type === 'ERROR') {
          const status = event.object as Status
          throw fromStatus(status.code ?? 500, status, `watching ${path}`)
        }
        yield event
      }
    } catch (error) {
      if (signal.aborted) throw aborted()
      throw this.#failed(error)
    } finally {
      response.destroy()
    }
  }

  /** Throws ClusterError when the API server cannot be reached, or does not know who asks. */
  async introduce(): Promise<void> {
    await this.get('/version')
    // Everybody may read the version, also who shows nothing; what the API offers is for those who are known.
    const { headers, tls } = await this.credentials()
    if (!headers['Authorization'] && !tls.cert) await this.ask('GET', '/api')
  }

  /** Fresh credentials for somebody else's connection. */
  credentials(): Promise<Credentials> {
    return this.#source.get(this.#current)
  }

  /** Closes all connections, watches among them. */
  close(): void {
    this.#agents.close()
  }

  #whole(method: string, path: string, extras: RequestExtras): Promise<Answer> {
    // Without a name it would be all objects there are, which kt never means.
    if (method === 'DELETE' && /\/$|\/undefined$/.test(path)) throw new Error(`DELETE ${path} names no object`)
    return this.#patiently(method, extras.signal, async () => {
      const answer = await this.#accepted(method, path, extras)
      return { ...answer, body: answer.body ?? (await readBody(answer.response)) }
    })
  }

  /** Tries again where nothing has been changed yet: see retry.ts. */
  async #patiently(method: string, signal: AbortSignal | undefined, ask: () => Promise<Answer>): Promise<Answer> {
    for (let tries = 1, waitedMs = 0; ; tries++) {
      const result = await ask().catch((error: unknown) => {
        // An answer to a GET that did not come whole can be asked for again.
        if (error instanceof Cut && (method === 'GET' || !error.sent)) return error
        throw this.#failed(error)
      })
      const outcome =
        result instanceof Cut ? 'cut' : { status: result.status, retryAfter: result.response.headers['retry-after'] }
      const ms = nextTry(outcome, method, tries, waitedMs)
      if (ms === undefined) {
        if (result instanceof Cut) throw this.#failed(result)
        return result
      }
      waitedMs += ms
      if (ms > 0) await this.#sleep(ms, signal)
      if (signal?.aborted) throw aborted()
    }
  }

  // A 401 gets a second try with the kubeconfig read anew (a rotated token), and with another answer of the plugin (its
  // last one may have been revoked).
  async #accepted(method: string, path: string, extras: RequestExtras): Promise<Answer> {
    for (let first = true; ; first = false) {
      const credentials = await this.#source.get(this.#current)
      const { server } = this.#current.identity
      const agent = this.#agents.get(server, this.#current.proxy, credentials.tls)
      const to = { ...credentials, server, agent, clock: this.#clock }
      const response = await requestOnce(to, method, path, extras)
      const status = response.statusCode!
      const body = isOk(status) ? undefined : await readBody(response)
      if (status === 401 && first) {
        await this.#source.refused(credentials)
        this.#current = this.#load()
        continue
      }
      const unfit = isOk(status) ? undefined : unfitAnswer(this.#current, credentials, response, body)
      if (unfit) throw unfit
      return { response, status, body }
    }
  }

  /** Whatever went wrong on the way, as a ClusterError. */
  #failed(error: unknown): ClusterError {
    if (error instanceof ClusterError) return error
    const reason = error instanceof Cut ? error.reason : (error as Error)
    return fromTransport(reason, this.#current)
  }
}

function isOk(status: number): boolean {
  return status >= 200 && status < 300
}

function serverTime(response: IncomingMessage): number {
  return Date.parse(response.headers.date ?? '')
}

async function* lines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of stream) {
    const parts = (rest + decoder.write(chunk)).split('\n')
    rest = parts.pop()!
    for (const part of parts) if (part !== '') yield part
  }
}
