// What `kt check` reads of this machine. Changes nothing, needs no rights.
import { existsSync, statSync } from 'node:fs'
import { loadAddon, useNative } from '../../base/installation.ts'
import type { CheckRequest } from '../../control/check.ts'
import { connectControl } from '../../control/client.ts'
import { controlSocket } from '../../control/paths.ts'
import type { Status } from '../../control/protocol.ts'
import type { Effects } from '../../host/effects.ts'
import { type Facts, readFacts } from '../../host/linux/facts.ts'
import { ipQuery } from '../../host/linux/ip.ts'
import { markerIsAlive } from '../../host/linux/owner.ts'
import { markedBy } from '../../host/linux/resolv-conf.ts'
import { otherKts } from '../../host/others.ts'
import { slowCiphers } from '../ciphers.ts'

export interface MachineFacts {
  /** `24.21.0` */
  node: string
  /** Why the addon cannot be loaded. */
  addonError: string | undefined
  /** What is lost without the compiled cipher. */
  slowCiphers: { message: string; hint: string } | undefined
  tun: 'there' | 'missing' | 'no-device'
  root: CheckRequest['root']
  /** Undefined where `ip` is missing. */
  net: Facts | undefined
  /** Devices that look like other VPNs', with their kind. */
  vpns: { name: string; kind: string }[]
  /** Rules for routing tables beyond the usual three, as `ip rule` shows them. */
  rules: string[]
  /** This machine passes packets on for others. */
  forwards: boolean
  /** What a killed kt left, in words. */
  leftovers: string[]
}

/** `status` of the engine of this user, while one runs. */
export async function readMachine(
  effects: Effects,
  root: CheckRequest['root'],
  status: Status | undefined,
  stale: boolean,
): Promise<MachineFacts> {
  // Without a device of ours, new ones are what counts.
  const own = status?.tun?.name ?? 'default'
  const net = await readFacts(effects, own, (devices) => otherKts(effects, devices)).catch(() => undefined)
  return {
    node: process.versions.node,
    addonError: addonError(),
    slowCiphers: slowCiphers(),
    tun: tunDevice(),
    root,
    net,
    vpns: net ? await otherVpns(effects, own) : [],
    rules: net ? await ownRules(effects) : [],
    forwards: forwards(effects),
    leftovers: leftovers(effects, stale),
  }
}

/** The caller's engine: its state while it runs, or that it died and left its socket. */
export async function askEngine(): Promise<{ status: Status | undefined; stale: boolean }> {
  const { client, stale } = await connectControl(controlSocket(process.getuid!()))
  if (!client) return { status: undefined, stale }
  try {
    await client.request('look', {}).catch(() => {})
    return { status: await client.request('status', {}), stale: false }
  } finally {
    client.close()
  }
}

function addonError(): string | undefined {
  try {
    useNative('kt-launch', () => {})
    loadAddon('kt_tun.node')
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n')[0]
  }
}

function tunDevice(): MachineFacts['tun'] {
  const path = '/dev/net/tun'
  if (!existsSync(path)) return 'missing'
  return statSync(path).isCharacterDevice() ? 'there' : 'no-device'
}

interface IpLink {
  ifname: string
  linkinfo?: { info_kind?: string }
}
// Kinds of ip-link(8) that carry somebody's private network.
const vpnKinds = new Set(['tun', 'wireguard', 'ppp', 'vti', 'vti6', 'xfrm', 'ipip', 'gre', 'l2tp'])

async function otherVpns(effects: Effects, own: string): Promise<MachineFacts['vpns']> {
  const links = (await ipQuery<IpLink[]>(effects, '-details', 'link', 'show', 'up')) ?? []
  return links
    .map(({ ifname, linkinfo }) => ({
      name: ifname,
      kind: linkinfo?.info_kind ?? (/^ppp\d/.test(ifname) ? 'ppp' : ''),
    }))
    .filter(({ name, kind }) => vpnKinds.has(kind) && name !== own)
}

interface IpRule {
  priority: number
  src?: string
  table?: string
}
// ip-rule(8): local, main, default.
const usualPriorities = new Set([0, 32766, 32767])

async function ownRules(effects: Effects): Promise<string[]> {
  const families = await Promise.all(['-4', '-6'].map((family) => ipQuery<IpRule[]>(effects, family, 'rule', 'show')))
  const rules = families.flatMap((list) => list ?? []).filter(({ priority }) => !usualPriorities.has(priority))
  return [
    ...new Set(rules.map(({ priority, src, table }) => `${priority}: from ${src ?? 'all'} lookup ${table ?? '?'}`)),
  ]
}

/** One of the leftovers: names do not work while it is there. */
export const LEFT_RESOLV_CONF = 'its /etc/resolv.conf'

function forwards({ files, paths }: Effects): boolean {
  const keys = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']
  return keys.some((key) => files.read(`${paths.proc}/sys/net/${key}`)?.trim() === '1')
}

function leftovers(effects: Effects, stale: boolean): string[] {
  const found: string[] = []
  if (stale) found.push('its control socket')
  const owner = markedBy(effects.files.read(effects.paths.resolvConf) ?? '')
  if (owner !== undefined && !markerIsAlive(owner, effects)) found.push(LEFT_RESOLV_CONF)
  return found
}
