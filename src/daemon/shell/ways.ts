// Which way an address takes that a program in a shell has dialled: through the tunnel, out of this machine, to this
// machine's own loopback, or nowhere. Only one address leads to the loopback, since programs there trust whoever comes.
import { BlockList } from 'node:net'
import type { IpAddress } from '../../wire/address.ts'

/** `machine`: this machine's loopback. */
export type Way = 'cluster' | 'outside' | 'machine' | 'nowhere'

/**
 * No way out of a machine (RFC 6890): this network, loopback, multicast, broadcast, and the IPv6 forms of the same, where a
 * link-local address would need the name of a link.
 */
const NOWHERE = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/96',
  '::ffff:0:0/96',
  'fe80::/10',
  'ff00::/8',
]

export interface WaysOptions {
  /** What the tunnel leads to, CIDR text. */
  cluster: readonly string[]
  /** The address that stands for this machine's loopback. */
  machine: IpAddress
  /** The shell's own addresses, CIDR text. */
  own: readonly string[]
  /** Addresses on this machine's loopback device beside those of the standard. Asked for each flow. */
  loopback(): readonly string[]
}

export class Ways {
  readonly #machine: IpAddress
  readonly #cluster = new Ranges()
  readonly #nowhere = new Ranges()
  readonly #loopback: () => readonly string[]

  constructor({ cluster, machine, own, loopback }: WaysOptions) {
    this.#machine = machine
    this.#loopback = loopback
    for (const cidr of [...NOWHERE, ...own]) this.#nowhere.add(cidr)
    for (const cidr of cluster) this.#cluster.add(cidr)
  }

  of(address: IpAddress): Way {
    if (this.#machine.equals(address)) return 'machine'
    if (this.#nowhere.has(address)) return 'nowhere'
    if (this.#cluster.has(address)) return 'cluster'
    return this.#loopback().includes(address.toString()) ? 'nowhere' : 'outside'
  }
}

/** Node's BlockList, one a family: a single one takes `::ffff:0:0/96` for all of IPv4. */
class Ranges {
  readonly #four = new BlockList()
  readonly #six = new BlockList()

  add(cidr: string): void {
    const [address, length] = cidr.split('/')
    if (address.includes(':')) this.#six.addSubnet(address, Number(length), 'ipv6')
    else this.#four.addSubnet(address, Number(length), 'ipv4')
  }

  has(address: IpAddress): boolean {
    return address.family === 6
      ? this.#six.check(address.toString(), 'ipv6')
      : this.#four.check(address.toString(), 'ipv4')
  }
}
