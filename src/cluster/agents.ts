// Connections to the API server that are used again: Node's agents, with the way through a proxy where there is one.
import { type Agent, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import { Deadline, secure, trustSystem } from '../tunnel/transport/dial.ts'
import { throughProxy } from '../tunnel/transport/proxy.ts'
import type { Credentials } from './credentials.ts'

/** Without it each request would cost a TLS handshake. */
const KEEP = { keepAlive: true }
/** For all steps of a proxy, and TLS behind it. */
const PROXY_MS = 10_000

export class Agents {
  readonly #clock: Clock
  readonly #agents = new Map<string, Agent>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** For `server`. Connections are shared by those who show the same certificate and trust the same authority. */
  get(server: string, proxy: string | undefined, tls: Credentials['tls']): Agent {
    const encrypted = server.startsWith('https:')
    const key = JSON.stringify([encrypted, proxy, tls])
    let agent = this.#agents.get(key)
    if (!agent) {
      agent = proxy
        ? proxied(encrypted, proxy, tls, this.#clock)
        : encrypted
          ? new HttpsAgent(KEEP)
          : new HttpAgent(KEEP)
      if (encrypted && tls.ca === undefined) trustSystem()
      this.#agents.set(key, agent)
    }
    return agent
  }

  /** Closes all connections. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }
}

function proxied(encrypted: boolean, proxy: string, tls: Credentials['tls'], clock: Clock): Agent {
  const agent = encrypted ? new HttpsAgent(KEEP) : new HttpAgent(KEEP)
  agent.createConnection = (options, callback) => {
    const host = String(options.host)
    const port = Number(options.port)
    dial(encrypted, proxy, host, port, tls, clock).then(
      (socket) => callback?.(null, socket),
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    )
    return undefined
  }
  return agent
}

async function dial(
  encrypted: boolean,
  proxy: string,
  host: string,
  port: number,
  tls: Credentials['tls'],
  clock: Clock,
): Promise<Duplex> {
  const deadline = new Deadline(PROXY_MS, `${host}:${port} through the proxy`, clock)
  try {
    const plain = await throughProxy(proxy, host, port, tls, deadline)
    const socket = encrypted ? await secure(plain, host, tls, deadline) : plain.resume()
    deadline.end()
    return socket
  } catch (error) {
    deadline.end(true)
    throw error
  }
}
