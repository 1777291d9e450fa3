// The machine while connected: brings it to the desired state step by step, each undo written down first, and back.

import { network, sample } from '../wire/prefix.ts'
import { type AppliedState, type DesiredState, serversAreInside } from './desired.ts'
import type { Effects } from './effects.ts'
import { HostError } from './errors.ts'
import type { Journal, UndoReport } from './journal.ts'
import { describe, type ResolvedLink, type Step, type Tun, type UndoAction } from './linux/actions.ts'
import { perform } from './linux/execute.ts'
import { hasIpv6, type RouteFact, readFacts, readLink, readResolver, readRoutes } from './linux/facts.ts'
import {
  type Finding,
  findNetwork,
  findResolved,
  foundResolvConf,
  foundStubLeft,
  type WantedNetwork,
} from './linux/findings.ts'
import { ipQueries } from './linux/ip.ts'
import { markerIsAlive, ownerText } from './linux/owner.ts'
import { planNetwork, planResolver } from './linux/plan.ts'
import { composeResolvConf, markedBy } from './linux/resolv-conf.ts'
import { findResolvConfPlace } from './linux/resolv-conf-place.ts'
import { decideResolver, type ResolverFacts, upstreamsOf, usesStub } from './linux/resolver.ts'
import { otherKts, writerOfMarker } from './others.ts'

type RestoreResolvConf = Extract<UndoAction, { type: 'resolv-conf-restore' }>

interface Current {
  desired: DesiredState
  mode: AppliedState['dnsMode']
  ipv6: boolean
  /** What systemd-resolved took, in that mode. */
  resolved: ResolvedLink | undefined
  /** /etc/resolv.conf led to systemd-resolved. */
  stub: boolean
}

export class Host {
  readonly #effects: Effects
  readonly #journal: Journal
  readonly #tun: Tun
  /** Records of the journal that are not ours to undo. */
  readonly #base: number
  readonly #log: (line: string) => void
  #current: Current | undefined

  /** `tun` has been opened and recorded in `journal`. */
  constructor(effects: Effects, journal: Journal, tun: Tun, log: (line: string) => void = () => {}) {
    this.#effects = effects
    this.#journal = journal
    this.#tun = tun
    this.#base = journal.steps.length
    this.#log = log
  }

  /**
   * Makes the machine so. Asked again, what differs from the last time is undone and done anew. Throws HostError; then
   * nothing of it is left.
   */
  async apply(desired: DesiredState): Promise<AppliedState> {
    if (this.#current) await this.undo()
    try {
      return await this.#apply(desired)
    } catch (error) {
      await this.undo()
      throw error
    }
  }

  async #apply(desired: DesiredState): Promise<AppliedState> {
    const facts = await readFacts(this.#effects, this.#tun.name)
    // All that can be refused is, before anything is changed.
    const net = planNetwork(desired, facts, this.#tun)
    const decision = decideResolver(desired.dns.mode, facts.resolver)
    if (decision.mode === 'resolvconf') await this.#refuseForeignMarker(facts.resolver.resolvConf ?? '')
    const owner = ownerText(this.#journal.owner)
    const place = decision.mode === 'resolvconf' ? findResolvConfPlace(owner, this.#effects) : undefined
    const names = planResolver(desired.dns, decision, facts, this.#tun, place)
    for (const step of net.steps) await this.#do(step)
    await this.#checkRoutes(net.routes)
    let resolved: ResolvedLink | undefined
    for (const step of names.steps) resolved = (await this.#do(step)) ?? resolved
    const stub = usesStub(facts.resolver)
    this.#current = { desired, mode: decision.mode, ipv6: facts.ipv6, resolved, stub }
    return {
      tunName: this.#tun.name,
      dnsMode: decision.mode,
      upstreams: names.upstreams,
      search: names.search,
      notes: [...net.notes, ...names.notes],
      missingRoutes: net.missingRoutes,
      domainsLeftOut: this.#domainsLeftOut(),
    }
  }

  async #do(step: Step): Promise<ResolvedLink | undefined> {
    if (step.undo) this.#journal.record(step.undo)
    this.#log(describe(step.do))
    return perform(step.do, this.#effects)
  }

  #domainsLeftOut(): string[] {
    const { desired, resolved } = this.#current!
    return resolved ? desired.dns.domains.slice(resolved.domains.length) : []
  }

  /** Other VPNs have tables of their own, and rules that put them before ours: only the kernel knows who wins. */
  async #checkRoutes(routes: readonly string[]): Promise<void> {
    const answers = await ipQueries<{ dev?: string; type?: string; table?: string }[]>(
      this.#effects,
      routes.map((route) => `route get ${sample(route)}`),
    )
    routes.forEach((route, i) => {
      const got = answers[i]?.[0]
      if (got?.dev === this.#tun.name) return
      const device = got?.dev ?? got?.type ?? 'nothing'
      throw new HostError(
        'route-lost',
        `the cluster's range ${route} still goes to ${device}${got?.table ? ` by table ${got.table}` : ''}, whose rules come before kt's routes`,
        `\`ip rule\` shows whose they are: end that VPN, or leave the range to it (\`kt up --exclude ${route}\`)`,
      )
    })
  }

  async #refuseForeignMarker(text: string): Promise<void> {
    const owner = markedBy(text)
    if (owner === undefined || owner === ownerText(this.#journal.owner)) return
    if (!markerIsAlive(owner, this.#effects)) return
    const who = (await writerOfMarker(owner, this.#effects)) ?? 'another user'
    throw new HostError(
      'resolv-conf-taken',
      `/etc/resolv.conf is the other kt's on this machine: ${who} is connected`,
      'have them run `kt down` first, or use --dns none',
    )
  }

  /** Changes servers and domains; the mode stays what it was. Returns the domains that systemd-resolved did not take. */
  async updateDns(dns: DesiredState['dns']): Promise<string[]> {
    const current = this.#current
    if (!current) throw new HostError('state', 'there is no connection whose names could be changed', 'connect first')
    if (!serversAreInside(current.desired.addresses, dns.servers))
      throw new HostError(
        'bad-request',
        "a DNS server is outside of the TUN's own addresses",
        'this is a mistake of kt; please report it',
      )
    current.desired = { ...current.desired, dns: { ...dns, mode: current.desired.dns.mode } }
    const servers = this.#servers()
    if (servers.length === 0) return []
    const { domains, searchDomains = [] } = dns
    if (current.mode === 'resolved')
      current.resolved = await perform(
        { type: 'resolved-set', ...this.#tun, servers, domains, searchDomains },
        this.#effects,
      )
    else if (current.mode === 'resolvconf') {
      const old = this.#effects.files.read(this.#effects.paths.resolvConf) ?? ''
      // Rewritten by somebody else: that is the watcher's to deal with.
      if (markedBy(old) !== ownerText(this.#journal.owner)) return []
      const text = composeResolvConf(ownerText(this.#journal.owner), servers, old)
      const path = this.#installed()?.path
      if (text !== old) await perform({ type: 'resolv-conf-install', path, text }, this.#effects)
    }
    return this.#domainsLeftOut()
  }

  #servers(): string[] {
    const { desired, ipv6 } = this.#current!
    return desired.dns.servers.filter((server) => ipv6 || !server.includes(':'))
  }

  /** What is not as `apply` made it. Changes nothing. */
  async look(): Promise<Finding[]> {
    if (!this.#current) return []
    const { desired, mode, stub } = this.#current
    const [link, routes, resolver] = await Promise.all([
      readLink(this.#effects, this.#tun),
      readRoutes(this.#effects),
      readResolver(this.#effects),
    ])
    const ipv6 = this.#current.ipv6 && (!link || hasIpv6(this.#effects, this.#tun.name))
    const usable = (cidr: string) => ipv6 || !cidr.includes(':')
    const wanted = {
      mtu: desired.mtu,
      addresses: desired.addresses.filter(usable),
      routes: desired.routes.filter(usable),
    }
    const found = findNetwork(this.#tun, wanted, link, routes)
    if (found.length === 0) found.push(...(await this.#lookAtOthers(wanted, routes, resolver)))
    if (mode === 'resolved' && this.#servers().length > 0) {
      const seen = await this.#effects.resolved.link(this.#tun.ifindex)
      found.push(...findResolved(this.#tun, this.#current.resolved!, seen))
      if (stub && !usesStub(resolver)) found.push(foundStubLeft(this.#effects.paths.resolvConf))
    }
    if (this.#isForeign(resolver))
      found.push(foundResolvConf(this.#effects.paths.resolvConf, upstreamsOf(resolver, this.#servers())))
    return found
  }

  /** Routes of others that came since and win over ours. */
  async #lookAtOthers(wanted: WantedNetwork, routes: RouteFact[], resolver: ResolverFacts): Promise<Finding[]> {
    try {
      const others = routes.filter(({ device }) => device !== this.#tun.name)
      const owners = await otherKts(this.#effects, [...new Set(others.map(({ device }) => device))])
      const facts = { routes: others, owners, ipv6: this.#current!.ipv6, resolver }
      planNetwork({ ...this.#current!.desired, ...wanted }, facts, this.#tun)
      await this.#checkRoutes(wanted.routes.map(network))
      return []
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      const { code, message, hint } = error
      return [{ fault: { code, message, hint }, repair: undefined }]
    }
  }

  /** Puts back what `look` has found. Rejects when that fails, and where nothing can be done. */
  async repair({ fault, repair }: Finding): Promise<void> {
    this.#log(`${fault.message}; putting it back`)
    if (repair === 'resolv-conf') return this.#reclaimResolvConf()
    for (const action of repair ?? []) {
      this.#log(describe(action))
      await perform(action, this.#effects)
    }
  }

  get mode(): AppliedState['dnsMode'] | undefined {
    return this.#current?.mode
  }

  /** True if resolv.conf is ours to hold, and another program has written it. */
  #isForeign({ resolvConf }: ResolverFacts): boolean {
    if (this.#current?.mode !== 'resolvconf' || this.#servers().length === 0) return false
    return resolvConf === undefined || markedBy(resolvConf) !== ownerText(this.#journal.owner)
  }

  /** Puts ours over what another program has written; that is what will be restored in the end. */
  async #reclaimResolvConf(): Promise<void> {
    const { files, paths } = this.#effects
    const owner = ownerText(this.#journal.owner)
    const old = this.#installed()
    const theirs = files.read(paths.resolvConf)
    if (!this.#current || !old || (theirs !== undefined && markedBy(theirs) === owner)) return
    // While the file is missing or empty somebody is in the middle of writing it.
    if (theirs !== undefined && theirs.trim() !== '') {
      const before = files.snapshot(old.path ?? paths.resolvConf)
      this.#journal.amend(old, { ...old, before })
    }
    const text = composeResolvConf(owner, this.#servers(), theirs ?? '')
    await perform({ type: 'resolv-conf-install', path: old.path, text }, this.#effects)
  }

  /** The file that is ours while connected: resolv.conf, or what it leads to. */
  get resolvConfPath(): string {
    return this.#installed()?.path ?? this.#effects.paths.resolvConf
  }

  /** How our resolv.conf is undone, once it is there. */
  #installed(): RestoreResolvConf | undefined {
    return this.#journal.steps.find((step) => step.type === 'resolv-conf-restore')
  }

  /** Undoes all that `apply` did. The TUN stays, without addresses. */
  async undo(): Promise<UndoReport> {
    this.#current = undefined
    return this.#journal.undo(this.#base)
  }
}
