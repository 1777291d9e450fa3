// `cluster.expose`: what `kt exchange` and `kt mesh` do, for a server in this process.
import type { AddressInfo, Server } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { listening } from '../base/listen.ts'
import { createClusterClient } from '../cluster/client.ts'
import type { ShadowConfig } from '../control/config.ts'
import type { InboundConfig } from '../control/holder.ts'
import { Exchange } from '../daemon/inbound/exchange.ts'
import { machineParts } from '../daemon/inbound/parts.ts'
import type { Log } from '../daemon/log.ts'
import { CallerNames } from '../daemon/requests/caller-names.ts'
import { RequestLog } from '../daemon/requests/request-log.ts'
import { type Exposed, type ExposeOptions, KtError } from './api.ts'
import { exposeError, ktError, orAborted } from './errors.ts'

export interface ExposeContext {
  config: ShadowConfig
  log: Log
  /** Aborted when the connection is closed. */
  closing: AbortSignal
}

export async function expose(
  service: string,
  server: Server | number,
  options: ExposeOptions,
  { config, log, closing }: ExposeContext,
): Promise<Exposed> {
  const { port, header, fallback = true, force = false, signal } = options
  signal?.throwIfAborted()
  const [local, closeServer] = await localPort(server)
  const inbound: InboundConfig = {
    ...config,
    ...{ kind: header ? 'mesh' : 'exchange', target: service, mode: 'selector', force, fallback },
    ...{ ports: [portOf(local, port)], check: true, background: false, log: false },
    ...(header && { mesh: meshOf(header) }),
  }
  const { kubeconfig, context, namespace } = config
  const cluster = createClusterClient({ kubeconfig, context, namespace })
  const identity = cluster.identify()
  identity.catch(() => {}) // whoever awaits it tells of it
  const over = new AbortController()
  const notice = (line: string) => log(line)
  const names = new CallerNames({ ask: (address) => cluster.podAt(address), now: () => systemClock.now() })
  const deps = {
    ...{ cluster, identity, log, notice, progress: () => {} },
    requests: new RequestLog({ clock: systemClock, wall: Date.now, names, notice }),
    fail: (error: Error) => void end(ktError(error)),
  }
  const exchange = new Exchange(inbound, deps, machineParts(inbound, deps))
  let ended: Promise<string[]> | undefined
  function end(why: KtError | undefined, hurry = false): Promise<string[]> {
    ended ??= (async () => {
      const closed = exchange.close()
      if (hurry) exchange.hurry()
      const notes = await closed.catch((error: Error) => [error.message])
      closeServer()
      closing.removeEventListener('abort', close)
      signal?.removeEventListener('abort', close)
      over.abort(why)
      return notes
    })()
    return ended
  }
  const close = () => void end(undefined)
  try {
    await orAborted(exchange.start(), signal ? AbortSignal.any([signal, closing]) : closing)
  } catch (error) {
    const why = exposeError(ktError(error), port)
    const notes = await end(why, true)
    throw notes.length > 0
      ? new KtError(why.code, `${why.message}; ${notes.join('; ')}`, why.hint, { cause: why })
      : why
  }
  closing.addEventListener('abort', close, { once: true })
  signal?.addEventListener('abort', close, { once: true })
  const { namespace: where, target } = exchange.status()
  return {
    ...{ service: target, namespace: where, localPort: local, signal: over.signal },
    close: () => end(undefined),
    [Symbol.asyncDispose]: async () => void (await end(undefined)),
  }
}

/** The server's port, and how to undo what was done for it. */
async function localPort(server: Server | number): Promise<[number, () => void]> {
  if (typeof server === 'number') return [server, () => {}]
  if (!server.listening) {
    await listening(server, { host: '127.0.0.1', port: 0 }).catch((error) => {
      throw ktError(error)
    })
    const close = () => {
      server.close()
      // Of node:http: connections that rest would keep the process.
      ;(server as { closeIdleConnections?(): void }).closeIdleConnections?.()
    }
    return [(server.address() as AddressInfo).port, close]
  }
  const address = server.address()
  if (address && typeof address === 'object') return [address.port, () => {}]
  throw new KtError('no-port', 'the server listens on a path, not on a port', 'let it listen on a port of 127.0.0.1')
}

function portOf(local: number, port: number | string | undefined): InboundConfig['ports'][number] {
  if (port === undefined) return { local, remote: local, implied: true }
  return typeof port === 'number' ? { local, remote: port } : { local, remote: local, name: port }
}

function meshOf({ name, value }: { name: string; value: string }): InboundConfig['mesh'] {
  const prefix = value.endsWith('*')
  return { mode: 'auto', header: name, value: prefix ? value.slice(0, -1) : value, prefix }
}
