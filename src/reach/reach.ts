// Reaching addresses and names from this process: those of the cluster through the tunnel, all others from this machine.
// Doors that programs come to by themselves (the proxy, the library) dial here; what becomes of the bytes is theirs.
import type { Clock } from '../base/clock.ts'
import type { DialFailure, Tunnel } from '../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../wire/address.ts'
import { dialError, ReachError } from './errors.ts'
import type { NameResolver } from './resolver.ts'

// As long as a connection of `kt forward` waits. Programs give up themselves after about as long.
const PATIENCE_MS = 30_000
/** Pods of a headless service that are tried in turn. */
const MOST_TRIES = 8

/** Where the tunnel is found. */
export interface Tunnels {
  tunnel(): Tunnel | undefined
  whenConnected(callback: () => void): () => void
  readonly closing: AbortSignal
}

export interface ReachOptions {
  tunnels: Tunnels
  names: Pick<NameResolver, 'lookup' | 'isCluster'>
  /** Addresses that are not the cluster's are refused. */
  clusterOnly: boolean
  clock: Clock
  /** Whether kt itself listens there. */
  isOwn(address: IpAddress, port: number): boolean
}

/** How one connection is made. */
export interface Attempts {
  /** One dial of the shadow. Resolves to why it failed, undefined when it is open. */
  cluster(tunnel: Tunnel, target: Endpoint): Promise<DialFailure | undefined>
  /** A dial from this machine, of whichever of the addresses answers. Rejects with ReachError. */
  direct(addresses: IpAddress[], port: number): Promise<void>
  /** Nobody waits for it any more. */
  isOver(): boolean
}

export class Reach {
  readonly #options: ReachOptions

  constructor(options: ReachOptions) {
    this.#options = options
  }

  /** Addresses of a host: a name, or an address in text. Rejects with ReachError. */
  async addresses(host: string): Promise<IpAddress[]> {
    const address = parseAddress(host)
    if (address) return [address]
    const [four, six] = await this.#both(host)
    return [...four, ...six]
  }

  /** Addresses of one family; none where the host has no such address. Rejects with ReachError. */
  async addressesOf(host: string, family: 4 | 6): Promise<IpAddress[]> {
    const address = parseAddress(host)
    if (address) return address.family === family ? [address] : []
    return await this.#options.names.lookup(host, family)
  }

  isCluster(address: IpAddress): boolean {
    return this.#options.names.isCluster(address)
  }

  /** Connects to a host. Rejects with ReachError; resolves when an attempt has resolved without a failure, or is over. */
  async dial(host: string, port: number, attempts: Attempts): Promise<void> {
    const until = this.#options.clock.now() + PATIENCE_MS
    const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const address = parseAddress(host)
    if (address) return await this.#try([address], port, where, attempts, until)
    const { names } = this.#options
    // A name of the cluster nearly always has an IPv4 address that answers, so the other question is asked only if not.
    const four = await names.lookup(host, 4).catch(missing)
    if (attempts.isOver()) return
    if (Array.isArray(four) && four.length > 0 && four.every((one) => names.isCluster(one))) {
      try {
        return await this.#try(four, port, where, attempts, until)
      } catch (error) {
        const six = await names.lookup(host, 6).catch(() => [])
        if (six.length === 0) throw error
        return await this.#try(six, port, where, attempts, until)
      }
    }
    const six = await names.lookup(host, 6).catch(missing)
    if (attempts.isOver()) return
    const all = [four, six].flatMap((found) => (Array.isArray(found) ? found : []))
    if (all.length > 0) return await this.#try(all, port, where, attempts, until)
    for (const found of [four, six]) if (!Array.isArray(found)) throw found
    throw new ReachError('ENOTFOUND', `${host} has no address`, '')
  }

  /** Rejects with ReachError where an address may not be reached from here. Resolves to whether it is the cluster's. */
  requireAllowed(address: IpAddress, port: number, where: string): boolean {
    const { clusterOnly, isOwn } = this.#options
    if (this.isCluster(address)) return true
    if (clusterOnly)
      throw new ReachError('KT_OUTSIDE', `${where} is not in the cluster, and only the cluster is reached`, '')
    if (isOwn(address, port)) throw new ReachError('KT_LOOP', `${where} is kt itself`, '')
    return false
  }

  async #both(host: string): Promise<[IpAddress[], IpAddress[]]> {
    const { names } = this.#options
    const [four, six] = await Promise.all([names.lookup(host, 4).catch(missing), names.lookup(host, 6).catch(missing)])
    const found: [IpAddress[], IpAddress[]] = [Array.isArray(four) ? four : [], Array.isArray(six) ? six : []]
    if (found[0].length + found[1].length > 0) return found
    for (const one of [four, six]) if (!Array.isArray(one)) throw one
    throw new ReachError('ENOTFOUND', `${host} has no address`, '')
  }

  async #try(all: IpAddress[], port: number, where: string, attempts: Attempts, until: number): Promise<void> {
    const direct: IpAddress[] = []
    const cluster: IpAddress[] = []
    let refused: ReachError | undefined
    for (const address of all) {
      try {
        ;(this.requireAllowed(address, port, where) ? cluster : direct).push(address)
      } catch (error) {
        refused ??= error as ReachError
      }
    }
    let failed: ReachError | undefined
    for (const address of cluster.slice(0, MOST_TRIES)) {
      const failure = await this.#through({ address, port }, attempts, until)
      if (failure === undefined || attempts.isOver()) return
      failed = dialError(failure, where)
    }
    if (direct.length > 0) return await attempts.direct(direct, port)
    throw failed ?? refused
  }

  /** As a SYN is kept by `kt up`: a tunnel that is away, or that is lost while it dials, is waited for. */
  async #through(target: Endpoint, attempts: Attempts, until: number): Promise<DialFailure | undefined> {
    for (let dead: Tunnel | undefined; ; ) {
      const tunnel = await this.tunnel(until, dead)
      if (attempts.isOver()) return undefined
      if (!tunnel) return 'lost'
      const failure = await attempts.cluster(tunnel, target)
      if (failure !== 'lost') return failure
      dead = tunnel
    }
  }

  /** A tunnel that is not `dead`, waited for; undefined when time is up. */
  async tunnel(until: number, dead?: Tunnel): Promise<Tunnel | undefined> {
    const { tunnels, clock } = this.#options
    const { closing } = tunnels
    const now = tunnels.tunnel()
    if ((now && now !== dead) || closing.aborted) return closing.aborted ? undefined : now
    await new Promise<void>((resolve) => {
      const ready = () => {
        cancel()
        stopWaiting()
        closing.removeEventListener('abort', ready)
        resolve()
      }
      const cancel = clock.after(Math.max(0, until - clock.now()), ready)
      const stopWaiting = tunnels.whenConnected(ready)
      closing.addEventListener('abort', ready, { once: true })
    })
    const then = tunnels.tunnel()
    return closing.aborted || then === dead ? undefined : then
  }
}

/** An address in text, also in brackets; one of IPv4 inside IPv6 (RFC 4291 2.5.5.2) is the IPv4 address. */
export function parseAddress(host: string): IpAddress | undefined {
  const text = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const address = IpAddress.tryParse(text)
  if (address?.family !== 6) return address
  const { bytes } = address
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  return isMapped ? new IpAddress(bytes.slice(12)) : address
}

/** Only that there is no such name is a finding; the other family may have it. */
function missing(error: unknown): ReachError {
  if (error instanceof ReachError) return error
  throw error
}
