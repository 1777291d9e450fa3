// What the engine wants of this machine: the only thing the root helper accepts. Declarative on purpose: there is no
// command, no path and no file content in it, so a helper that checks it against this schema can be trusted as root.
// zod/mini, since the helper stays in memory: 11 MB less than with zod.
import * as z from 'zod/mini'
import { covers, network, parsePrefix } from '../wire/prefix.ts'

const ipText = z.union([z.ipv4(), z.ipv6()])
const cidrText = z.union([z.cidrv4(), z.cidrv6()])
const domain = z
  .string()
  .check(z.regex(/^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/))

const dnsModes = ['auto', 'resolved', 'resolvconf', 'none'] as const

/** The state of the machine while connected. The TUN's name and owner are the helper's business. */
const Wanted = z.strictObject({
  mtu: z.int().check(z.minimum(1280), z.maximum(65535)),
  /** Addresses of the TUN with prefix length, at most one a family. */
  addresses: z.array(cidrText).check(z.minLength(1), z.maxLength(2)),
  /** What is routed into the TUN. */
  routes: z.array(cidrText).check(z.maxLength(4096)),
  dns: z.strictObject({
    mode: z.enum(dnsModes),
    /** Our server's addresses, inside the TUN. */
    servers: z.array(ipText).check(z.maxLength(2)),
    /** Domains whose names (and those below them) are the cluster's; for systemd-resolved's routing domains. */
    domains: z.array(domain).check(z.maxLength(4096)),
    /** Domains that complete single-label names; for systemd-resolved, which sends such names nowhere without one. */
    searchDomains: z.optional(z.array(domain).check(z.maxLength(16))),
  }),
})
export type DesiredState = z.infer<typeof Wanted>
export const DesiredDns = Wanted.shape.dns

/** True if all of our servers are in the TUN: no other server may be made the machine's by a request. */
export function serversAreInside(addresses: readonly string[], servers: readonly string[]): boolean {
  const own = addresses.map((address) => parsePrefix(network(address)))
  return servers.every((server) => own.some((prefix) => covers(prefix, parsePrefix(server))))
}

export const DesiredState = Wanted.check(
  z.refine(({ addresses }) => addresses.every(isSmall), {
    path: ['addresses'],
    error: 'the network of an address of the TUN is larger than /24 or /112',
  }),
  z.refine(({ addresses, dns }) => serversAreInside(addresses, dns.servers), {
    path: ['dns', 'servers'],
    error: "a DNS server is outside of the TUN's own addresses",
  }),
)

// A network of all addresses would have every server in it.
function isSmall(address: string): boolean {
  const { family, length } = parsePrefix(address)
  return length >= (family === 4 ? 24 : 112)
}

/** What `apply` answers. */
export const AppliedState = z.strictObject({
  tunName: z.string(),
  /** The mode that `auto` became. */
  dnsMode: z.enum(['resolved', 'resolvconf', 'none']),
  /** The resolvers that were in charge before, for what is not the cluster's: `address` or `address:port` ([v6]:port). */
  upstreams: z.array(z.string()),
  /** The search list that was there. */
  search: z.array(z.string()),
  /** Things the user should know, a sentence each: IPv6 is switched off, a shorter route is shadowed, ... */
  notes: z.array(z.string()),
  /** Routes that were wanted and could not be had (IPv6 off). */
  missingRoutes: z.array(z.string()),
  /** Domains that systemd-resolved did not take. */
  domainsLeftOut: z.array(z.string()),
})
export type AppliedState = z.infer<typeof AppliedState>
