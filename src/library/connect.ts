// The library's composition root: a connection to a cluster inside the process that wants it. It prints nothing, handles no
// signal, and has no process left when it is closed.

import { hostname } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { resetSocket } from '../base/reset.ts'
import { connectionTables, resolvConfText, systemFacts, userNumber } from '../base/system.ts'
import type { ClusterClient } from '../cluster/calls.ts'
import { createClusterClient } from '../cluster/client.ts'
import type { ShadowConfig } from '../control/config.ts'
import { createDialer } from '../daemon/dialer.ts'
import { listenLocal } from '../daemon/inbound/listen-local.ts'
import type { Log } from '../daemon/log.ts'
import { watchOwnNetwork } from '../daemon/own-network.ts'
import { carry } from '../daemon/proxy/carry.ts'
import { peerCheck, peerFacts } from '../daemon/proxy/peers.ts'
import { uniform32 } from '../daemon/random.ts'
import { shadowOptions } from '../daemon/shadow-options.ts'
import { ClusterReach, machineLookup } from '../reach/cluster-reach.ts'
import type { Reach } from '../reach/reach.ts'
import {
  type Cluster,
  type ClusterService,
  type Connect,
  type ConnectOptions,
  type Exposed,
  type ExposeOptions,
  type Forwarded,
  KtError,
  type Target,
} from './api.ts'
import { configOf } from './config.ts'
import { aborted, ktError, orAborted } from './errors.ts'
import { expose } from './expose.ts'
import { LibrarySocket, lookupOf, RenewableDispatcher } from './socket.ts'

const silent: Log = Object.assign(() => {}, { debug: () => {}, trouble: () => undefined })

export const connect: Connect = async (options = {}) => {
  const { signal } = options
  if (signal?.aborted) throw aborted(signal.reason)
  const config = configOf(options)
  const { kubeconfig, context, namespace } = config
  const client = createClusterClient({ kubeconfig, context, namespace })
  const access = accessOf(options, config, client)
  try {
    const reach = await orAborted(access.connect(), signal)
    return new ConnectedCluster(access, reach, config, client, signal)
  } catch (error) {
    await access.close()
    throw ktError(error)
  }
}

class ConnectedCluster implements Cluster {
  readonly context: string
  readonly cluster: string
  readonly namespace: string
  readonly ranges: readonly string[]
  readonly fetch: typeof globalThis.fetch
  readonly dispatcher: Cluster['dispatcher']
  readonly lookup: Cluster['lookup']
  readonly #access: ClusterReach
  readonly #reach: Reach
  readonly #config: ShadowConfig
  readonly #client: Pick<ClusterClient, 'services'>
  readonly #closing = new AbortController()
  readonly #dispatcher: RenewableDispatcher
  readonly #exposed = new Set<Exposed>()
  readonly #sockets = new Set<LibrarySocket>()
  readonly #release: () => void
  #closed: Promise<void> | undefined

  constructor(
    access: ClusterReach,
    reach: Reach,
    config: ShadowConfig,
    client: Pick<ClusterClient, 'services'>,
    signal: AbortSignal | undefined,
  ) {
    const { identity } = access.connected!
    this.context = identity.context
    this.cluster = identity.cluster
    this.namespace = identity.namespace
    this.ranges = access.ranges
    this.#access = access
    this.#reach = reach
    this.#config = config
    this.#client = client
    this.#dispatcher = new RenewableDispatcher(reach)
    this.dispatcher = this.#dispatcher.public
    this.lookup = lookupOf(reach)
    this.fetch = (input, init) => fetch(input, { ...init, dispatcher: this.dispatcher } as RequestInit)
    const abort = () => void this.close()
    signal?.addEventListener('abort', abort, { once: true })
    this.#release = () => signal?.removeEventListener('abort', abort)
  }

  get signal(): AbortSignal {
    return this.#closing.signal
  }

  connect(target: Target): LibrarySocket {
    const socket = new LibrarySocket(this.#reach, target)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    if (this.#closing.signal.aborted) process.nextTick(() => socket.destroy(closed()))
    return socket
  }

  async forward({ host, port, signal }: Target): Promise<Forwarded> {
    this.#requireOpen(signal)
    const facts = systemFacts()
    const uid = userNumber(facts)
    const isAllowed = peerCheck(
      uid,
      peerFacts(connectionTables(facts), uid, () => systemClock.now()),
    )
    const where = `${host}:${port}`
    const counters = { bytesIn: 0, bytesOut: 0 }
    const sockets = new Set<import('node:net').Socket>()
    const local = await listenLocal(0, (socket) => {
      sockets.add(socket)
      socket.on('error', () => {}) // `close` follows
      socket.once('close', () => sockets.delete(socket))
      isAllowed(socket)
        .then(async (allowed) => {
          if (!allowed) throw new Error('another user')
          await this.#reach.dial(host, port, carry(socket, { where, clock: systemClock, counters, onOpen() {} }))
        })
        .catch(() => resetSocket(socket))
    }).catch((error) => {
      throw ktError(error)
    })
    const stops = [this.#closing.signal, ...(signal ? [signal] : [])]
    const close = async () => {
      for (const stop of stops) stop.removeEventListener('abort', close)
      local.close()
      for (const socket of sockets) resetSocket(socket)
    }
    for (const stop of stops) stop.addEventListener('abort', close, { once: true })
    return { host: '127.0.0.1', port: local.port, close, [Symbol.asyncDispose]: close }
  }

  async services({ signal }: { signal?: AbortSignal } = {}): Promise<ClusterService[]> {
    this.#requireOpen(signal)
    try {
      const { services } = await orAborted(this.#client.services(), signal)
      return services.map(({ targets: _, ...service }) => service)
    } catch (error) {
      throw ktError(error)
    }
  }

  async expose(
    service: string,
    server: import('node:net').Server | number,
    options: ExposeOptions = {},
  ): Promise<Exposed> {
    this.#requireOpen(options.signal)
    const config = { ...this.#config, context: this.context, namespace: this.namespace }
    const exposed = await expose(service, server, options, { config, log: silent, closing: this.#closing.signal })
    this.#exposed.add(exposed)
    this.#dispatcher.renew()
    const ended = () => {
      this.#exposed.delete(exposed)
      this.#dispatcher.renew()
    }
    exposed.signal.addEventListener('abort', ended, { once: true })
    return exposed
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#release()
    const exposed = [...this.#exposed]
    this.#closing.abort(closed())
    await Promise.all(exposed.map((one) => one.close()))
    // An error that nobody listens for would end the process.
    for (const socket of this.#sockets) socket.destroy(socket.listenerCount('error') > 0 ? closed() : undefined)
    await this.#dispatcher.destroy(closed()).catch(() => {})
    await this.#access.close()
  }

  #requireOpen(signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw aborted(signal.reason)
    if (this.#closing.signal.aborted) throw closed()
  }
}

const closed = () => new KtError('closed', 'the connection to the cluster is closed', 'connect again')

function accessOf(options: ConnectOptions, config: ShadowConfig, cluster: ClusterClient): ClusterReach {
  const { include = [], exclude = [], clusterOnly = false, clusterDomain, onStep = () => {} } = options
  const note = (detail: string) => onStep({ step: 'tunnel', state: 'note', detail, ms: 0 })
  const facts = systemFacts()
  return new ClusterReach({
    ...{ cluster, include, exclude, clusterOnly, clusterDomain, onStep },
    ...{ clock: systemClock, log: silent, random: uniform32(), lookup: machineLookup },
    dialer: (closing) => {
      const dialer = createDialer(cluster, config, silent, closing)
      watchOwnNetwork(dialer, closing)
      return dialer
    },
    shadow: shadowOptions(config),
    ...{ hostname: hostname(), resolvConf: resolvConfText(facts) },
    isOwn: () => false,
    onLost: (why) => note(`the tunnel is away: ${why}`),
    onBack: () => note('the tunnel is back'),
  })
}
