// Which resolver is in charge of this machine: a pure decision over a few facts. And which servers it asks, since names
// that are not the cluster's go on to those.
import { nameserversInUse, parseResolvConf } from '../../base/resolv-conf.ts'
import type { DesiredState } from '../desired.ts'
import { HostError } from '../errors.ts'

export interface ResolverFacts {
  /** Contents of /etc/resolv.conf, undefined if there is none. */
  resolvConf: string | undefined
  /** Where its symbolic link leads in the end; undefined if it is none. */
  linkTarget: string | undefined
  /** systemd-resolved has its name on the system bus. */
  resolvedAnswers: boolean
  /** Contents of /run/systemd/resolve/resolv.conf: the servers resolved asks. */
  uplink: string | undefined
}

export interface ResolverDecision {
  mode: 'resolved' | 'resolvconf' | 'none'
  notes: string[]
}

const RESOLVED_STUB = '/run/systemd/resolve/stub-resolv.conf'
const RESOLVED_UPLINK = '/run/systemd/resolve/resolv.conf'
const RESOLVED_STATIC = '/usr/lib/systemd/resolv.conf'
// resolved.conf(5), DNSStubListener: the stub, and the one for proxies.
export const stubs = ['127.0.0.53', '127.0.0.54']

/** What `mode` becomes here. Throws HostError when resolved was asked for and does not answer. */
export function decideResolver(mode: DesiredState['dns']['mode'], facts: ResolverFacts): ResolverDecision {
  if (mode === 'none') return { mode, notes: [] }
  if (mode === 'resolvconf')
    return {
      mode,
      notes:
        usesStub(facts) && facts.resolvedAnswers
          ? ['programs that ask systemd-resolved directly will not see the cluster: --dns resolvconf was asked for']
          : [],
    }
  if (mode === 'resolved') {
    if (!facts.resolvedAnswers)
      throw new HostError(
        'resolved',
        '--dns resolved: systemd-resolved does not answer on the system bus',
        'start it (systemctl start systemd-resolved), or leave --dns to kt',
      )
    return {
      mode,
      notes: usesStub(facts)
        ? []
        : ['/etc/resolv.conf does not lead to systemd-resolved: programs that read it will not see the cluster'],
    }
  }
  if (!usesStub(facts)) return { mode: 'resolvconf', notes: [] }
  if (facts.resolvedAnswers) return { mode: 'resolved', notes: [] }
  return {
    mode: 'resolvconf',
    notes: ['/etc/resolv.conf leads to systemd-resolved, which does not answer; kt replaces the file while connected'],
  }
}

/** True if programs that read resolv.conf come to resolved. */
export function usesStub({ resolvConf, linkTarget }: ResolverFacts): boolean {
  if (linkTarget === RESOLVED_STUB || linkTarget === RESOLVED_STATIC) return true
  const { nameservers } = parseResolvConf(resolvConf ?? '')
  return nameservers.length > 0 && nameservers.every((server) => stubs.includes(server))
}

export interface Upstreams {
  upstreams: string[]
  search: string[]
  /** Lines of the file that were skipped. */
  notes: string[]
}

/**
 * The resolvers that were in charge and their search list. Ours and resolved's own stub are left out: to ask them would
 * be to ask ourselves.
 */
export function upstreamsOf(facts: ResolverFacts, ours: readonly string[]): Upstreams {
  const uplink = usesStub(facts) ? facts.uplink : undefined
  const conf = uplink === undefined ? parseResolvConf(facts.resolvConf ?? '') : parseResolvConf(uplink, RESOLVED_UPLINK)
  // Only programs that read a file without servers ask the loopback: systemd-resolved then asks nobody.
  const servers = uplink === undefined ? nameserversInUse(conf) : conf.nameservers
  const notes = [...conf.notes]
  if (uplink === undefined && conf.nameservers.length === 0)
    notes.push(
      `/etc/resolv.conf names no server: names that are not the cluster's are asked of ${servers[0]}, as resolv.conf(5) says`,
    )
  const upstreams = servers.filter((server) => !ours.includes(server) && !stubs.includes(server))
  return { upstreams: [...new Set(upstreams)], search: conf.search, notes }
}
