// Connections of the library: a ReachSocket whose errors are the library's, and undici's and dns.lookup's ways to use them.
import type { LookupAddress, LookupOptions } from 'node:dns'
import { connect as connectTls } from 'node:tls'
import { Agent, Dispatcher as BaseDispatcher } from 'undici'
import type { Dispatcher } from 'undici-types'
import type { Reach } from '../reach/reach.ts'
import { ReachSocket } from '../reach/reach-socket.ts'
import type { Lookup, Target } from './api.ts'
import { aborted, ktError } from './errors.ts'

export class LibrarySocket extends ReachSocket {
  readonly #release: () => void

  constructor(reach: Reach, { host, port, signal, allowHalfOpen }: Target) {
    super(reach, host, port, { allowHalfOpen })
    const abort = () => this.destroy(aborted(signal!.reason))
    signal?.addEventListener('abort', abort, { once: true })
    this.#release = () => signal?.removeEventListener('abort', abort)
    if (signal?.aborted) process.nextTick(abort)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#release()
    super._destroy(error && ktError(error), done)
  }
}

/** For undici, and for the `fetch` of Node, which takes what undici 7 makes. */
export class RenewableDispatcher extends BaseDispatcher {
  readonly #reach: Reach
  #agent: Agent
  /** Replaced, with requests that have not ended yet. */
  readonly #before = new Set<Agent>()

  constructor(reach: Reach) {
    super()
    this.#reach = reach
    this.#agent = agentOf(reach)
  }

  /**
   * The next requests get new connections; pending ones go on. A connection that is kept open stays with the pod that it
   * was opened to, also after the Service leads elsewhere.
   */
  renew(): void {
    const old = this.#agent
    this.#agent = agentOf(this.#reach)
    this.#before.add(old)
    old.close().then(
      () => this.#before.delete(old),
      () => {},
    )
  }

  override dispatch(...args: Parameters<Agent['dispatch']>): boolean {
    return this.#agent.dispatch(...args)
  }

  /** All requests fail with `error`. */
  override async destroy(error?: unknown): Promise<void> {
    await Promise.all([this.#agent, ...this.#before].map((agent) => agent.destroy(error as Error)))
  }

  /** As undici's own dispatcher, whose types come from another package. */
  get public(): Dispatcher {
    return this as unknown as Dispatcher
  }
}

function agentOf(reach: Reach): Agent {
  return new Agent({
    connect: ({ hostname, port, protocol, servername }, done) => {
      const isTls = protocol === 'https:'
      const raw = new LibrarySocket(reach, { host: hostname, port: Number(port) || (isTls ? 443 : 80) })
      const name = servername || hostname
      const socket = isTls ? connectTls({ socket: raw, servername: name, ALPNProtocols: ['http/1.1'] }) : raw
      const failed = (error: Error) => done(ktError(error), null)
      socket.once('error', failed)
      // TLS tells of the end of what lies below as an end before the handshake.
      if (isTls) raw.once('error', (error) => (socket as typeof raw).destroy(error))
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        socket.off('error', failed)
        done(null, socket as never)
      })
    },
  })
}

type Answer = (error: NodeJS.ErrnoException | null, found?: string | LookupAddress[], family?: number) => void

/** As dns.lookup. */
export function lookupOf(reach: Reach): Lookup {
  const lookup = (host: string, second: LookupOptions | Answer, third?: Answer): void => {
    const options = typeof second === 'function' ? {} : second
    const answer = typeof second === 'function' ? second : third!
    const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : (options.family ?? 0)
    const asked = family === 0 ? reach.addresses(host) : reach.addressesOf(host, family as 4 | 6)
    asked.then(
      (addresses) => {
        const all = addresses.map((one) => ({ address: one.toString(), family: one.family }))
        // As in Node: a caller's mistake must not look like one of the lookup.
        process.nextTick(() => {
          if (options.all) answer(null, all)
          else if (all.length > 0) answer(null, all[0].address, all[0].family)
          else answer(ktError(Object.assign(new Error(`${host} has no such address`), { code: 'ENOTFOUND' })))
        })
      },
      (error) => process.nextTick(answer, ktError(error)),
    )
  }
  return lookup as Lookup
}
