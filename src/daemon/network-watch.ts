// Notices that this machine is in another network: another gateway, another address towards it, other resolvers. Looks now and
// then at small files, since that needs no right and no process; whoever learns of a change sooner calls `look`.
import { networkInterfaces } from 'node:os'
import { parseResolvConf } from '../base/resolv-conf.ts'
import { stubs } from '../host/linux/resolver.ts'
import { type Read, readOrEmpty } from './network.ts'

export interface NetworkSeen {
  /** The default routes and this machine's addresses on their devices; '' without a network. */
  place: string
  /** All routes of this machine but those of kt, and the addresses on their devices; '' without a network. */
  ways: string
  /** The resolvers of a file that is not kt's; undefined where kt itself stands in their place. */
  upstreams: string[] | undefined
}

type Interfaces = ReturnType<typeof networkInterfaces>

/** For whoever is told of changes and looks by itself as well, and for whoever is told of none. */
export const EVERY_MS = { told: 5_000, alone: 500 }
/** As the helper names kt's devices. */
const OURS = /^kt\d+$/
const NO_ADDRESS = '00000000000000000000000000000000'

/** `mode`: how programs come to kt, which tells whose resolvers are where; `own` are kt's. */
export function seeNetwork(
  mode: 'resolved' | 'resolvconf' | 'none',
  own: readonly string[],
  read: Read = readOrEmpty,
  interfaces: Interfaces = networkInterfaces(),
): NetworkSeen {
  const all = routes(read).filter(({ device }) => device !== 'lo' && !OURS.test(device))
  const from = (device: string) => {
    const addresses = (interfaces[device] ?? []).filter(({ family }) => family === 'IPv4')
    // Those of IPv6 are changed every day (RFC 8981), so the router stands for the network there.
    return String(addresses.map(({ cidr }) => cidr).sort())
  }
  const places = all
    .filter(({ prefix }) => prefix === '')
    .map(({ device, gateway }) => `${device} ${gateway} ${from(device)}`)
  const ways = all.map(({ device, prefix, gateway }) => `${device} ${prefix} ${gateway} ${from(device)}`)
  return { place: inOrder(places), ways: inOrder(ways), upstreams: upstreams(mode, own, read) }
}

interface Route {
  device: string
  /** As the kernel writes it; '' for a default route. */
  prefix: string
  gateway: string
}

function routes(read: Read): Route[] {
  const of4 = rows(read('/proc/net/route'))
    .filter(([, destination]) => destination !== 'Destination')
    .map(([device, destination, gateway, , , , , mask]) => ({
      device,
      prefix: destination === '00000000' && mask === '00000000' ? '' : `${destination}/${mask}`,
      gateway,
    }))
  // Of IPv6, routes by a router: those of this machine's own addresses and of its links say nothing of the way out.
  const of6 = rows(read('/proc/net/ipv6_route'))
    .map(([destination, length, , , gateway, , , , , device]) => ({
      device,
      prefix: destination === NO_ADDRESS && length === '00' ? '' : `${destination}/${length}`,
      gateway,
    }))
    .filter(({ prefix, gateway }) => prefix === '' || gateway !== NO_ADDRESS)
  return [...of4, ...of6]
}

const inOrder = (texts: string[]): string => [...new Set(texts)].sort().join('; ')

function upstreams(mode: 'resolved' | 'resolvconf' | 'none', own: readonly string[], read: Read): string[] | undefined {
  if (mode === 'resolvconf') return undefined
  const text = read(mode === 'resolved' ? '/run/systemd/resolve/resolv.conf' : '/etc/resolv.conf')
  // Without an answer the ones before stay: the file may be in the middle of being written.
  const { nameservers } = parseResolvConf(text)
  const found = nameservers.filter((server) => !stubs.includes(server) && !own.includes(server))
  return found.length > 0 ? [...new Set(found)] : undefined
}

const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s+/))

export interface NetworkWatchOptions {
  see(): NetworkSeen
  /** Calls once after `ms`; returns what takes it back. */
  after(ms: number, call: () => void): () => void
  /** `upstreams` is undefined where they are not known to have changed. */
  onChange(upstreams: string[] | undefined): void
  /** Connections from before may be dead: another route, address or resolver, or a network again. Called before `onChange`. */
  onWays?(): void
  /** One of EVERY_MS. */
  everyMs?: number
}

export class NetworkWatch {
  readonly #options: NetworkWatchOptions
  #before: NetworkSeen
  #cancel: () => void

  /** Watches until closed. */
  constructor(options: NetworkWatchOptions) {
    this.#options = options
    this.#before = options.see()
    this.#cancel = this.#again()
  }

  /** Looks now. */
  look(): void {
    const { place, ways, upstreams } = this.#options.see()
    const before = this.#before
    const moved = place !== before.place && place !== ''
    const others = upstreams !== undefined && upstreams.join() !== before.upstreams?.join()
    // Where there is no network nothing can be asked; what was known counts again if the same one comes back.
    this.#before = { place: place || before.place, ways, upstreams: upstreams ?? before.upstreams }
    if (ways !== '' && (ways !== before.ways || others)) this.#options.onWays?.()
    if (moved || others) this.#options.onChange(upstreams)
  }

  close(): void {
    this.#cancel()
  }

  #tick(): void {
    this.look()
    this.#cancel = this.#again()
  }

  #again(): () => void {
    return this.#options.after(this.#options.everyMs ?? EVERY_MS.told, () => this.#tick())
  }
}
