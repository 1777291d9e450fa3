// From facts about this machine to lines: what was found, whether that will do, what to do. Pure.
import { REPAIR } from '../../base/installation.ts'
import type { CheckLine, CheckState } from '../../control/check.ts'
import type { Status } from '../../control/protocol.ts'
import { planNetwork } from '../../host/linux/plan.ts'
import { decideResolver, upstreamsOf } from '../../host/linux/resolver.ts'
import { LEFT_RESOLV_CONF, type MachineFacts } from './machine-facts.ts'

const line = (name: string, state: CheckState, result: string, advice = ''): CheckLine => ({
  group: 'machine',
  ...{ name, state, result, advice },
})

// package.json, engines.
const OLDEST_NODE = [22, 18]
const NEWEST_NODE_MAJOR = 25

export function judgeMachine(facts: MachineFacts, status: Status | undefined): CheckLine[] {
  return [
    judgeNode(facts.node),
    facts.addonError === undefined
      ? line('addon', 'ok', 'loads')
      : line('addon', 'failed', `cannot be loaded: ${facts.addonError}`, REPAIR),
    facts.slowCiphers
      ? line('ciphers', 'warning', facts.slowCiphers.message, facts.slowCiphers.hint)
      : line('ciphers', 'ok', 'the compiled one loads'),
    judgeTun(facts.tun),
    judgeRoot(facts.root),
    facts.net
      ? line('iproute2', 'ok', 'the command `ip` is there')
      : line(
          'iproute2',
          'failed',
          'the command `ip` of iproute2 is missing',
          'install iproute2, for example: apt-get install iproute2, or on Alpine: apk add iproute2',
        ),
    ...(facts.net ? [judgeNames(facts.net, facts.leftovers, status), ...judgeIpv6(facts.net)] : []),
    judgeVpns(facts),
    judgeForwarding(facts.forwards, status),
    judgeLeftovers(facts.leftovers),
    ...judgeFaults(status),
  ]
}

function judgeNode(version: string): CheckLine {
  const [major, minor] = version.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    return line('Node.js', 'failed', `${version} is too old`, `use ${OLDEST_NODE.join('.')} or newer`)
  if (major > NEWEST_NODE_MAJOR)
    return line('Node.js', 'warning', `${version} is newer than kt knows, and slower`, 'use Node.js 24')
  return line('Node.js', 'ok', version)
}

function judgeTun(tun: MachineFacts['tun']): CheckLine {
  const container = 'in a container, start it with --device /dev/net/tun --cap-add NET_ADMIN'
  if (tun === 'there') return line('/dev/net/tun', 'ok', 'is there')
  if (tun === 'missing') return line('/dev/net/tun', 'failed', 'is not there', `load it (modprobe tun); ${container}`)
  return line('/dev/net/tun', 'failed', 'is no device', `remove it, then modprobe tun; ${container}`)
}

function judgeRoot(root: MachineFacts['root']): CheckLine {
  if (root === 'root') return line('root', 'ok', 'this is root')
  if (root === 'socket') return line('root', 'ok', "not needed: kt's helper serves you through its socket")
  if (root === 'sudo') return line('root', 'ok', 'by sudo, which `kt up` asks for')
  return line('root', 'failed', 'this is not root, and there is no sudo', 'run `kt up` as root, or install sudo')
}

const nameFaults = new Set(['resolv-conf', 'resolved', 'no-names'])

function judgeNames(net: NonNullable<MachineFacts['net']>, leftovers: string[], status: Status | undefined): CheckLine {
  const name = 'DNS'
  // While connected, resolv.conf says what kt made of it.
  if (status && status.state !== 'connecting') {
    const fault = status.faults?.find(({ code }) => nameFaults.has(code))
    return fault
      ? line(name, 'failed', fault.message, fault.hint)
      : line(name, 'ok', `by ${status.dns.mode}, while connected`)
  }
  if (leftovers.includes(LEFT_RESOLV_CONF))
    return line(name, 'failed', 'names are asked of a kt that is gone', '`kt down` puts /etc/resolv.conf back')
  const { mode, notes } = decideResolver('auto', net.resolver)
  const how = mode === 'resolved' ? 'systemd-resolved is in charge' : '/etc/resolv.conf is in charge'
  if (notes.length > 0)
    return line(name, 'warning', notes.join('; '), 'start systemd-resolved if it should be in charge, or leave it so')
  const { upstreams, notes: skipped } = upstreamsOf(net.resolver, [])
  if (upstreams.length === 0)
    return line(
      name,
      'warning',
      `${how}, and names no server`,
      "names that are not the cluster's will not be found; check /etc/resolv.conf",
    )
  if (skipped.length > 0)
    return line(
      name,
      'warning',
      skipped.join('; '),
      "correct /etc/resolv.conf if names that are not the cluster's are not found",
    )
  return line(name, 'ok', `${how}, asking ${upstreams.join(', ')}`)
}

function judgeIpv6({ ipv6 }: NonNullable<MachineFacts['net']>): CheckLine[] {
  return ipv6 ? [] : [line('IPv6', 'ok', "switched off: the cluster's IPv6 addresses are left out")]
}

function judgeVpns({ vpns, rules }: MachineFacts): CheckLine {
  const names = vpns.map(({ name, kind }) => `${name} (${kind})`).join(', ')
  if (vpns.length === 0) return line('other VPNs', 'ok', 'none is up')
  if (rules.length === 0) return line('other VPNs', 'ok', `${names}; no rules of their own`)
  return line(
    'other VPNs',
    'warning',
    `${names}, with rules that come before kt's routes (${rules.join('; ')})`,
    'if `kt up` then says that a range still goes elsewhere: disconnect it, or --exclude that range',
  )
}

function judgeForwarding(forwards: boolean, status: Status | undefined): CheckLine {
  const name = 'forwarding'
  const foreign = status?.foreignPackets ?? 0
  if (foreign > 0)
    return line(
      name,
      'warning',
      `${foreign} packets from addresses that are not kt's own were dropped since \`kt up\`: only this machine's programs reach the cluster`,
      'a container or machine behind this one needs masquerading (Docker does it); a program must not bind to another address',
    )
  if (!forwards) return line(name, 'ok', 'this machine passes nothing on for others')
  return line(
    name,
    'ok',
    'this machine passes packets on for others (ip_forward); kt takes its own only, and those of containers masqueraded behind it',
  )
}

/** What the running connection says of itself. */
function judgeFaults(status: Status | undefined): CheckLine[] {
  if (!status) return []
  const faults = (status.faults ?? []).filter(({ code }) => !nameFaults.has(code))
  if (status.state === 'connecting' || status.state === 'disconnecting') return []
  if (faults.length === 0) return [line('connection', 'ok', `${status.state}, and addresses of the cluster reach kt`)]
  return faults.map(({ message, hint }) => line('connection', 'failed', message, hint))
}

function judgeLeftovers(found: string[]): CheckLine {
  if (found.length === 0) return line('leftovers', 'ok', 'none')
  return line(
    'leftovers',
    'failed',
    `a kt that was killed left ${found.join(' and ')}`,
    '`kt down` puts the machine back',
  )
}

/** Do the cluster's routes and addresses fit in between those that are there? */
export function judgeRoutes(net: NonNullable<MachineFacts['net']>, routes: string[], addresses: string[]): CheckLine {
  const name = 'routes'
  const dns = { mode: 'none' as const, servers: [], domains: [] }
  try {
    const { notes } = planNetwork({ mtu: 1500, addresses, routes, dns }, net, { name: 'kt', ifindex: 0 })
    const shadowed = notes.filter((note) => !note.startsWith('IPv6'))
    return {
      ...line(name, 'ok', shadowed.join('; ') || 'nothing here has the addresses of the cluster'),
      group: 'cluster',
    }
  } catch (error) {
    const { message, hint } = error as { message: string; hint?: string }
    return { ...line(name, 'failed', message, hint ?? 'use --exclude with that range'), group: 'cluster' }
  }
}
