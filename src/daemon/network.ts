// What of the cluster is captured on this machine: our own addresses in the TUN, and the cluster's ranges less what
// must never go through it (the API server, gateways, resolvers).
import { createHash } from 'node:crypto'
import { hostname, networkInterfaces } from 'node:os'
import { nameserversInUse, parseResolvConf } from '../base/resolv-conf.ts'
import { readSmallFile } from '../base/small-file.ts'
import { ToldError } from '../base/told-error.ts'
import type { Range } from '../cluster/calls.ts'
import { IpAddress } from '../wire/address.ts'
import { applyIncludeExclude, contains, familyOf, overlaps, subtract } from '../wire/cidr.ts'
import { network } from '../wire/prefix.ts'

/** Our addresses: the machine's side of the TUN, and the DNS server's, which our own stack serves. */
export interface OwnAddresses {
  /** With prefix length; at most one a family. */
  tun: string[]
  dns: IpAddress
}

/** Of resolv.conf and the tables of /proc. */
const MOST_READ = 1 << 20
// 198.18.0.0/15 is for benchmarks of network devices (RFC 2544, RFC 6890): routable nowhere, used by few. Other programs
// that borrow it take its start, so ours lies elsewhere.
const blocks4 = ['198.18.53', '198.19.53', '198.18.153', '198.19.153']
const TRIES_6 = 16

/**
 * A ULA prefix of 48 bits (RFC 4193 3.2.1: 40 of them from a hash) for `who` on this machine, so that two users' do not
 * meet, and one user's stays the same.
 */
function block6(who: string, attempt: number): string {
  const hash = createHash('sha256').update(`kt ${who} ${attempt}`).digest('hex')
  return `fd${hash.slice(0, 2)}:${hash.slice(2, 6)}:${hash.slice(6, 10)}`.replace(/:0+(?=.)/g, ':')
}

/** This machine and this user, by what stays the same. */
function whoIsThis(): string {
  const machine = readOrEmpty('/etc/machine-id').trim() || hostname()
  return `${machine} ${process.getuid!()}`
}

/** Picks addresses that no interface and none of the captured ranges overlap. Throws ToldError when all are taken. */
export function pickAddresses(
  captured: readonly string[],
  interfaces = networkInterfaces(),
  who = whoIsThis(),
): OwnAddresses {
  const taken = Object.values(interfaces).flatMap((list) =>
    (list ?? []).map((entry) => entry.cidr).filter((cidr) => cidr !== null),
  )
  const used = [...taken, ...captured].map(network)
  const free = blocks4.find((block) => !used.some((cidr) => familyOf(cidr) === 4 && overlaps(cidr, `${block}.0/30`)))
  if (!free) {
    throw new ToldError(
      'addresses',
      `no free address for the network device: ${blocks4.map((b) => `${b}.0/30`).join(', ')} are all in use`,
      'another VPN may have taken 198.18.0.0/15; disconnect it, or --exclude part of it',
    )
  }
  const tun = [`${free}.1/30`]
  if (captured.some((cidr) => familyOf(cidr) === 6)) {
    const blocks = Array.from({ length: TRIES_6 }, (_, attempt) => block6(who, attempt))
    const used6 = used.filter((cidr) => familyOf(cidr) === 6)
    const free6 = blocks.find((block) => !used6.some((cidr) => overlaps(cidr, `${block}::/126`)))
    if (!free6)
      throw new ToldError(
        'addresses',
        `no free IPv6 address for the network device: ${blocks[0]}::/126 and ${TRIES_6 - 1} more are in use`,
        'another VPN may have taken all of fd00::/8; disconnect it, or --exclude part of it',
      )
    tun.push(`${free6}::1/126`)
  }
  return { tun, dns: IpAddress.parse(`${free}.2`) }
}

export interface Captured {
  routes: string[]
  notes: string[]
}

/**
 * The routes: ranges with includes and excludes applied, less the addresses that must stay reachable as they are.
 * `keep` names each such address with what it is, for the note.
 */
export function capturedRoutes(
  ranges: readonly Range[],
  include: readonly string[],
  exclude: readonly string[],
  keep: ReadonlyMap<string, string>,
): Captured {
  const wanted = applyIncludeExclude(
    ranges.map((r) => r.cidr),
    include,
    exclude,
  )
  const holes: string[] = []
  const notes: string[] = []
  for (const [address, what] of keep) {
    const hole = network(address)
    const inside = wanted.find((cidr) => familyOf(cidr) === familyOf(hole) && contains(cidr, hole))
    if (!inside) continue
    holes.push(hole)
    notes.push(`${address} (${what}) lies in ${inside} and is left out of it`)
  }
  return { routes: subtract(wanted, holes), notes }
}

/** The machine's resolvers and gateways, with what they are. Reads /etc/resolv.conf, systemd-resolved's list, /proc/net. */
export function localInfrastructure(read: Read = readOrEmpty): Map<string, string> {
  const found = new Map<string, string>()
  for (const path of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    for (const server of parseResolvConf(read(path)).nameservers)
      found.set(server.replace(/%.*/, ''), "this machine's resolver")
  }
  for (const line of read('/proc/net/route').split('\n').slice(1)) {
    const gateway = line.split('\t')[2]
    if (gateway && gateway !== '00000000') found.set(littleEndian4(gateway), 'a gateway')
  }
  for (const line of read('/proc/net/ipv6_route').split('\n')) {
    const gateway = line.split(/\s+/)[4]
    if (gateway?.length === 32 && !/^0+$/.test(gateway))
      found.set(new IpAddress(Uint8Array.from(Buffer.from(gateway, 'hex'))).toString(), 'a gateway')
  }
  for (const address of [...found.keys()]) if (/^127\.|^::1$|^fe80:/.test(address)) found.delete(address)
  return found
}

/** The resolvers and search list programs of this machine use now, from /etc/resolv.conf. */
export function localResolvers(read: Read = readOrEmpty): {
  upstreams: string[]
  search: string[]
} {
  const conf = parseResolvConf(read('/etc/resolv.conf'))
  return { upstreams: nameserversInUse(conf), search: conf.search }
}

/** /proc/net/route prints addresses as the hexadecimal of a little-endian word. */
function littleEndian4(hex: string): string {
  return Buffer.from(hex, 'hex').reverse().join('.')
}

/** The text of a file, or '' where there is none. */
export type Read = (path: string) => string

export function readOrEmpty(path: string): string {
  try {
    return readSmallFile(path, MOST_READ)?.toString() ?? ''
  } catch {
    return ''
  }
}
