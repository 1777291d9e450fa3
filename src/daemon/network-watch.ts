// Notices that this machine is in another network: another gateway, another address towards it, other resolvers. Looks now and
// then at small files, since that needs no right and no process; whoever learns of a change sooner calls `look`.
import { networkInterfaces } from 'node:os'
import { parseResolvConf } from '../base/resolv-conf.ts'
import { stubs } from '../host/resolver.ts'
import { type Read, readOrEmpty } from './network.ts'

export interface NetworkSeen {
  /** The default routes and this machine's addresses on their devices; '' without a network. */
  place: string
  /** The resolvers of a file that is not kt's; undefined where kt itself stands in their place. */
  upstreams: string[] | undefined
}

type Interfaces = ReturnType<typeof networkInterfaces>

const EVERY_MS = 5_000
const NO_ADDRESS = '00000000000000000000000000000000'

/** `mode`: how programs come to kt, which tells whose resolvers are where; `own` are kt's. */
export function seeNetwork(
  mode: 'resolved' | 'resolvconf' | 'none',
  own: readonly string[],
  read: Read = readOrEmpty,
  interfaces: Interfaces = networkInterfaces(),
): NetworkSeen {
  const gateways = [
    ...rows(read('/proc/net/route')).flatMap(([device, destination, gateway, , , , , mask]) =>
      destination === '00000000' && mask === '00000000' ? [`${device} ${gateway}`] : [],
    ),
    ...rows(read('/proc/net/ipv6_route')).flatMap(([destination, length, , , gateway, , , , , device]) =>
      destination === NO_ADDRESS && length === '00' && device !== 'lo' ? [`${device} ${gateway}`] : [],
    ),
  ]
  const places = gateways.map((text) => {
    const addresses = (interfaces[text.split(' ')[0]] ?? []).filter(({ family }) => family === 'IPv4')
    // Those of IPv6 are changed every day (RFC 8981), so the router stands for the network there.
    return `${text} ${addresses.map(({ cidr }) => cidr).sort()}`
  })
  return { place: [...new Set(places)].sort().join('; '), upstreams: upstreams(mode, own, read) }
}

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
}

export class NetworkWatch {
  readonly #options: NetworkWatchOptions
  #before: NetworkSeen
  #cancel: () => void

  /** Watches until closed. */
  constructor(options: NetworkWatchOptions) {
    this.#options = options
    this.#before = options.see()
    this.#cancel = options.after(EVERY_MS, () => this.#tick())
  }

  /** Looks now. */
  look(): void {
    const { place, upstreams } = this.#options.see()
    const before = this.#before
    const moved = place !== before.place && place !== ''
    const others = upstreams !== undefined && upstreams.join() !== before.upstreams?.join()
    // Where there is no network nothing can be asked; what was known counts again if the same one comes back.
    this.#before = { place: place || before.place, upstreams: upstreams ?? before.upstreams }
    if (moved || others) this.#options.onChange(upstreams)
  }

  close(): void {
    this.#cancel()
  }

  #tick(): void {
    this.look()
    this.#cancel = this.#options.after(EVERY_MS, () => this.#tick())
  }
}
