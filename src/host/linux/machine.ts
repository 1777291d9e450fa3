// The Linux machine: joins facts, plan, actions and findings of this folder to what ../machine.ts asks for.

import { network } from '../../wire/prefix.ts'
import type { AppliedState, DesiredState } from '../desired.ts'
import type { Effects } from '../effects.ts'
import { HostError } from '../errors.ts'
import type { Machine, Repairs } from '../machine.ts'
import type { DoAction, LinuxStep, ResolvedLink, Tun, UndoAction } from './actions.ts'
import { perform } from './execute.ts'
import { hasIpv6, type RouteFact, readFacts, readLink, readResolver, readRoutes } from './facts.ts'
import {
  findNetwork,
  findResolved,
  foundResolvConf,
  foundStubLeft,
  type LinuxFinding,
  type WantedNetwork,
} from './findings.ts'
import { markerIsAlive } from './owner.ts'
import { type NetworkPlan, planNetwork, planResolver, type ResolverPlan } from './plan.ts'
import { composeResolvConf, markedBy } from './resolv-conf.ts'
import { findResolvConfPlace } from './resolv-conf-place.ts'
import { decideResolver, type ResolverFacts, upstreamsOf, usesStub } from './resolver.ts'

type RestoreResolvConf = Extract<UndoAction, { type: 'resolv-conf-restore' }>

interface MachineDeps {
  effects: Effects
  /** Our network interface, which has been opened. */
  tun: Tun
  /** Goes into resolv.conf's marker. */
  owner: string
  /** Whose kt has opened which of these devices. */
  ownersOf(devices: string[]): Promise<ReadonlyMap<string, string>>
  /** Whose kt has put its marker into resolv.conf. */
  writerOfMarker(marker: string): Promise<string | undefined>
}

/** What the last plan was, and what has come of it. */
interface Current {
  desired: DesiredState
  mode: AppliedState['dnsMode']
  ipv6: boolean
  net: NetworkPlan
  names: ResolverPlan
  /** What systemd-resolved took, in that mode. */
  resolved: ResolvedLink | undefined
  /** /etc/resolv.conf led to systemd-resolved. */
  stub: boolean
}

export class LinuxMachine implements Machine<DoAction, UndoAction, LinuxFinding['repair']> {
  readonly #deps: MachineDeps
  #current: Current | undefined

  constructor(deps: MachineDeps) {
    this.#deps = deps
  }

  async plan(desired: DesiredState): Promise<LinuxStep[]> {
    const { effects, tun, owner, ownersOf } = this.#deps
    const facts = await readFacts(effects, tun.name, ownersOf)
    const net = planNetwork(desired, facts, tun)
    const { mode, notes } = decideResolver(desired.dns.mode, facts.resolver)
    if (mode === 'resolvconf') await this.#refuseForeignMarker(facts.resolver.resolvConf ?? '')
    const place = mode === 'resolvconf' ? findResolvConfPlace(owner, effects) : undefined
    const names = planResolver(desired.dns, { mode, notes }, facts, tun, place)
    const stub = usesStub(facts.resolver)
    this.#current = { desired, mode, ipv6: facts.ipv6, net, names, resolved: undefined, stub }
    return [...net.steps, { do: { type: 'check-routes', name: tun.name, routes: net.routes } }, ...names.steps]
  }

  async #refuseForeignMarker(text: string): Promise<void> {
    const { effects, owner, writerOfMarker } = this.#deps
    const marker = markedBy(text)
    if (marker === undefined || marker === owner || !markerIsAlive(marker, effects)) return
    const who = (await writerOfMarker(marker)) ?? 'another user'
    throw new HostError(
      'resolv-conf-taken',
      `/etc/resolv.conf is the other kt's on this machine: ${who} is connected`,
      'have them run `kt down` first, or use --dns none',
    )
  }

  async perform(action: DoAction): Promise<void> {
    const taken = await perform(action, this.#deps.effects)
    if (taken && this.#current) this.#current.resolved = taken
  }

  get applied(): AppliedState {
    const { mode, net, names, desired, resolved } = this.#current!
    return {
      tunName: this.#deps.tun.name,
      dnsMode: mode,
      upstreams: names.upstreams,
      search: names.search,
      notes: [...net.notes, ...names.notes],
      missingRoutes: net.missingRoutes,
      domainsLeftOut: resolved ? desired.dns.domains.slice(resolved.domains.length) : [],
    }
  }

  get mode(): AppliedState['dnsMode'] | undefined {
    return this.#current?.mode
  }

  planDns(dns: DesiredState['dns'], recorded: readonly UndoAction[]): DoAction[] {
    const { effects, owner, tun } = this.#deps
    const current = this.#current!
    current.desired = { ...current.desired, dns: { ...dns, mode: current.desired.dns.mode } }
    const servers = this.#servers()
    if (servers.length === 0) return []
    const { domains, searchDomains = [] } = dns
    if (current.mode === 'resolved') return [{ type: 'resolved-set', ...tun, servers, domains, searchDomains }]
    if (current.mode !== 'resolvconf') return []
    const old = effects.files.read(effects.paths.resolvConf) ?? ''
    // Rewritten by somebody else: that is the watcher's to deal with.
    if (markedBy(old) !== owner) return []
    const text = composeResolvConf(owner, servers, old)
    return text === old ? [] : [{ type: 'resolv-conf-install', path: installed(recorded)?.path, text }]
  }

  #servers(): string[] {
    const { desired, ipv6 } = this.#current!
    return desired.dns.servers.filter((server) => ipv6 || !server.includes(':'))
  }

  async look(): Promise<LinuxFinding[]> {
    const { effects, tun } = this.#deps
    const { desired, mode, stub, ipv6: hadIpv6, resolved } = this.#current!
    const [link, routes, resolver] = await Promise.all([
      readLink(effects, tun),
      readRoutes(effects),
      readResolver(effects),
    ])
    const ipv6 = hadIpv6 && (!link || hasIpv6(effects, tun.name))
    const usable = (cidr: string) => ipv6 || !cidr.includes(':')
    const wanted = {
      mtu: desired.mtu,
      addresses: desired.addresses.filter(usable),
      routes: desired.routes.filter(usable),
    }
    const found = findNetwork(tun, wanted, link, routes)
    if (found.length === 0) found.push(...(await this.#lookAtOthers(wanted, routes, resolver)))
    if (mode === 'resolved' && this.#servers().length > 0) {
      const seen = await effects.resolved.link(tun.ifindex)
      found.push(...findResolved(tun, resolved!, seen))
      if (stub && !usesStub(resolver)) found.push(foundStubLeft(effects.paths.resolvConf))
    }
    if (this.#isForeign(resolver))
      found.push(foundResolvConf(effects.paths.resolvConf, upstreamsOf(resolver, this.#servers())))
    return found
  }

  /** Routes of others that came since and win over ours. */
  async #lookAtOthers(wanted: WantedNetwork, routes: RouteFact[], resolver: ResolverFacts): Promise<LinuxFinding[]> {
    const { effects, tun, ownersOf } = this.#deps
    try {
      const others = routes.filter(({ device }) => device !== tun.name)
      const owners = await ownersOf([...new Set(others.map(({ device }) => device))])
      const facts = { routes: others, owners, ipv6: this.#current!.ipv6, resolver }
      planNetwork({ ...this.#current!.desired, ...wanted }, facts, tun)
      await perform({ type: 'check-routes', name: tun.name, routes: wanted.routes.map(network) }, effects)
      return []
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      const { code, message, hint } = error
      return [{ fault: { code, message, hint }, repair: undefined }]
    }
  }

  /** True if resolv.conf is ours to hold, and another program has written it. */
  #isForeign({ resolvConf }: ResolverFacts): boolean {
    if (this.mode !== 'resolvconf' || this.#servers().length === 0) return false
    return resolvConf === undefined || markedBy(resolvConf) !== this.#deps.owner
  }

  planRepair(repair: LinuxFinding['repair'], recorded: readonly UndoAction[]): Repairs<DoAction, UndoAction> {
    return repair === 'resolv-conf' ? this.#reclaimResolvConf(recorded) : { actions: repair ?? [] }
  }

  /** Ours over what another program has written; that is what will be restored in the end. */
  #reclaimResolvConf(recorded: readonly UndoAction[]): Repairs<DoAction, UndoAction> {
    const { effects, owner } = this.#deps
    const { files, paths } = effects
    const old = installed(recorded)
    const theirs = files.read(paths.resolvConf)
    if (!old || (theirs !== undefined && markedBy(theirs) === owner)) return { actions: [] }
    const text = composeResolvConf(owner, this.#servers(), theirs ?? '')
    const actions: DoAction[] = [{ type: 'resolv-conf-install', path: old.path, text }]
    // While the file is missing or empty somebody is in the middle of writing it.
    if (theirs === undefined || theirs.trim() === '') return { actions }
    return { actions, amend: { old, by: { ...old, before: files.snapshot(old.path ?? paths.resolvConf) } } }
  }

  /** The file that is ours while connected: resolv.conf, or what it leads to. */
  resolvConfPath(recorded: readonly UndoAction[]): string {
    return installed(recorded)?.path ?? this.#deps.effects.paths.resolvConf
  }
}

/** How our resolv.conf is undone, once it is there. */
function installed(recorded: readonly UndoAction[]): RestoreResolvConf | undefined {
  return recorded.find((step) => step.type === 'resolv-conf-restore')
}
