// systemd-resolved's settings of one link, over org.freedesktop.resolve1 (its manual page of that name). Why kt speaks D-Bus
// itself, and starts neither busctl nor resolvectl, is in docs/understand/host.md.
import { type Clock, delay, systemClock } from '../../../base/clock.ts'
import { IpAddress } from '../../../wire/address.ts'
import type { Resolved } from '../../effects.ts'
import { HostError } from '../../errors.ts'
import type { ResolvedLink } from '../actions.ts'
import { BUS_SERVICE, type Bus, BusError, withBus } from './bus.ts'
import type { Value } from './signature.ts'

const SYSTEM_BUS = '/run/dbus/system_bus_socket'
const SERVICE = 'org.freedesktop.resolve1'
const TIMEOUT_MS = 5_000
const AF_INET = 2
const AF_INET6 = 10

// resolved learns of a new interface by netlink, a moment after we made it.
const LINK_TRIES = 100
const LINK_WAIT_MS = 20

export function systemResolved(address = SYSTEM_BUS, clock: Clock = systemClock): Resolved {
  return {
    async answers() {
      try {
        return await withBus(address, TIMEOUT_MS, hasOwner)
      } catch (error) {
        if (error instanceof BusError) return false
        throw error
      }
    },

    async setLink(ifindex, link) {
      let taken = link
      try {
        await withBus(address, TIMEOUT_MS, async (bus) => {
          await whenKnown(() => manager(bus, 'SetLinkDNS', 'ia(iay)', [ifindex, link.servers.map(server)]), clock)
          taken = await setDomains(bus, ifindex, link)
          await manager(bus, 'SetLinkDefaultRoute', 'ib', [ifindex, false])
          for (const member of ['SetLinkLLMNR', 'SetLinkMulticastDNS', 'SetLinkDNSSEC', 'SetLinkDNSOverTLS'])
            await optional(() => manager(bus, member, 'is', [ifindex, 'no']))
          await optional(() => manager(bus, 'FlushCaches'))
        })
        return taken
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        throw new HostError(
          'resolved',
          `systemd-resolved refused its settings: ${error.message}`,
          'look at `systemctl status systemd-resolved`, or use --dns resolvconf',
        )
      }
    },

    async link(ifindex) {
      try {
        return await withBus(address, TIMEOUT_MS, async (bus) => {
          if (!(await hasOwner(bus))) return undefined
          const path = await manager(bus, 'GetLink', 'i', [ifindex])
          const servers = (await property(bus, path, 'DNS')) as [number, number[]][]
          const domains = (await property(bus, path, 'Domains')) as [string, boolean][]
          const named = (routing: boolean) => domains.filter((one) => one[1] === routing).map(([name]) => name)
          return {
            servers: servers.map(([, bytes]) => new IpAddress(Uint8Array.from(bytes)).toString()),
            domains: named(true),
            searchDomains: named(false),
          }
        })
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        // A link it does not know has no settings; a bus or a service that fails answers nothing.
        return isNoSuchLink(error) ? { servers: [], domains: [], searchDomains: [] } : undefined
      }
    },

    async revertLink(ifindex) {
      try {
        await withBus(address, TIMEOUT_MS, async (bus) => {
          if (!(await hasOwner(bus))) return
          await manager(bus, 'RevertLink', 'i', [ifindex])
          await optional(() => manager(bus, 'FlushCaches'))
        })
      } catch (error) {
        // With the link, or resolved, its settings are gone too.
        if (error instanceof BusError && (isNoSuchLink(error) || error.dbusName === '')) return
        throw error
      }
    },
  }
}

async function hasOwner(bus: Bus): Promise<boolean> {
  try {
    const call = { destination: BUS_SERVICE, path: '/org/freedesktop/DBus', interface: BUS_SERVICE }
    await bus.call({ ...call, member: 'GetNameOwner', signature: 's', arguments: [SERVICE] })
    return true
  } catch (error) {
    if (error instanceof BusError && error.dbusName === `${BUS_SERVICE}.Error.NameHasNoOwner`) return false
    throw error
  }
}

// What is no better with fewer domains.
const FINAL = /\.(AccessDenied|InteractiveAuthorizationRequired|LinkBusy|NoReply|ServiceUnknown|UnknownMethod)$/

/**
 * Sets as many domains as it takes, the first ones first: its limit differs between versions (256 in 252), and a list that
 * is refused leaves the link without any. It counts the domains before the change as well, so a list that is refused may be
 * taken the second time. Returns what it took.
 */
async function setDomains(bus: Bus, ifindex: number, link: ResolvedLink): Promise<ResolvedLink> {
  let tries = 0
  for (let most = link.domains.length; ; most = ++tries === 1 ? most : Math.floor((most * 3) / 4)) {
    const taken = { ...link, domains: link.domains.slice(0, most) }
    try {
      await manager(bus, 'SetLinkDomains', 'ia(sb)', [ifindex, domains(taken)])
      return taken
    } catch (error) {
      const final = !(error instanceof BusError) || error.dbusName === '' || FINAL.test(error.dbusName)
      if (final || isNoSuchLink(error) || most <= 1) throw error
    }
  }
}

function property(bus: Bus, path: Value | undefined, name: string): Promise<Value | undefined> {
  const call = { destination: SERVICE, path: String(path), interface: 'org.freedesktop.DBus.Properties', member: 'Get' }
  return bus.call({ ...call, signature: 'ss', arguments: [`${SERVICE}.Link`, name] })
}

function manager(bus: Bus, member: string, signature?: string, values?: Value[]): Promise<Value | undefined> {
  const call = { destination: SERVICE, path: '/org/freedesktop/resolve1', interface: `${SERVICE}.Manager`, member }
  return bus.call({ ...call, signature, arguments: values })
}

function server(text: string): Value {
  const { family, bytes } = IpAddress.parse(text)
  return [family === 4 ? AF_INET : AF_INET6, bytes as unknown as readonly Value[]]
}

/** Search domains first; the second half says: for routing only. */
function domains(link: ResolvedLink): Value {
  const search = new Set(link.searchDomains)
  return [
    ...link.searchDomains.map((name) => [name, false]),
    ...link.domains.filter((name) => !search.has(name)).map((name) => [name, true]),
  ]
}

function isNoSuchLink(error: BusError): boolean {
  return error.dbusName === `${SERVICE}.NoSuchLink` || /^Link \d+ not known/.test(error.message)
}

async function whenKnown(call: () => Promise<unknown>, clock: Clock): Promise<void> {
  for (let left = LINK_TRIES; ; left--) {
    try {
      return void (await call())
    } catch (error) {
      if (!(error instanceof BusError) || !isNoSuchLink(error) || left === 0) throw error
      await delay(LINK_WAIT_MS, undefined, clock)
    }
  }
}

/** Calls a member that older versions lack. kt works without what it switches off. */
async function optional(call: () => Promise<unknown>): Promise<void> {
  try {
    await call()
  } catch (error) {
    if (!(error instanceof BusError) || error.dbusName === '') throw error
  }
}
