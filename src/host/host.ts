// The machine while connected: brings it to the desired state step by step, each undo written down first, and back.
import { describe, type Step, type UndoAction } from './actions.ts'
import type { AppliedState, DesiredState } from './desired.ts'
import type { Effects } from './effects.ts'
import { HostError } from './errors.ts'
import { perform } from './execute.ts'
import { readFacts, readResolver } from './facts.ts'
import { ipQueries } from './ip.ts'
import { type Journal, markerIsAlive, ownerText, type UndoReport } from './journal.ts'
import { planNetwork, planResolver, type Tun } from './plan.ts'
import { sample } from './prefix.ts'
import { composeResolvConf, markedBy } from './resolv-conf.ts'
import { findResolvConfPlace } from './resolv-conf-place.ts'
import { decideResolver, upstreamsOf } from './resolver.ts'

type RestoreResolvConf = Extract<UndoAction, { type: 'resolv-conf-restore' }>

interface Current {
  desired: DesiredState
  mode: AppliedState['dnsMode']
  ipv6: boolean
}

/** What became of resolv.conf that another program has written. */
export interface Reclaimed {
  /** The resolvers the other program put there. */
  upstreams: string[]
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
    if (decision.mode === 'resolvconf') this.#refuseForeignMarker(facts.resolver.resolvConf ?? '')
    const owner = ownerText(this.#journal.owner)
    const place = decision.mode === 'resolvconf' ? findResolvConfPlace(owner, this.#effects) : undefined
    const names = planResolver(desired.dns, decision, facts, this.#tun, place)
    for (const step of net.steps) await this.#do(step)
    await this.#checkRoutes(net.routes)
    for (const step of names.steps) await this.#do(step)
    this.#current = { desired, mode: decision.mode, ipv6: facts.ipv6 }
    return {
      tunName: this.#tun.name,
      dnsMode: decision.mode,
      upstreams: names.upstreams,
      search: names.search,
      notes: [...net.notes, ...names.notes],
      missingRoutes: net.missingRoutes,
    }
  }

  async #do(step: Step): Promise<void> {
    if (step.undo) this.#journal.record(step.undo)
    this.#log(describe(step.do))
    await perform(step.do, this.#effects)
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
        `disconnect ${device}, or leave the range to it with --exclude ${route}`,
      )
    })
  }

  #refuseForeignMarker(text: string): void {
    const owner = markedBy(text)
    if (owner === undefined || owner === ownerText(this.#journal.owner)) return
    if (markerIsAlive(owner, this.#effects))
      throw new HostError(
        'resolv-conf-taken',
        'another kt on this machine has replaced /etc/resolv.conf',
        'end that one first (`kt down` as its user), or use --dns none',
      )
  }

  /** Changes servers and domains; the mode stays what it was. */
  async updateDns(dns: DesiredState['dns']): Promise<void> {
    const current = this.#current
    if (!current) throw new HostError('state', 'there is no connection whose names could be changed', 'connect first')
    current.desired = { ...current.desired, dns: { ...dns, mode: current.desired.dns.mode } }
    const servers = this.#servers()
    if (servers.length === 0) return
    const { domains, searchDomains = [] } = dns
    if (current.mode === 'resolved')
      await perform({ type: 'resolved-set', ...this.#tun, servers, domains, searchDomains }, this.#effects)
    else if (current.mode === 'resolvconf') {
      const old = this.#effects.files.read(this.#effects.paths.resolvConf) ?? ''
      // Rewritten by somebody else: that is the watcher's to deal with.
      if (markedBy(old) !== ownerText(this.#journal.owner)) return
      const text = composeResolvConf(ownerText(this.#journal.owner), servers, old)
      const path = this.#installed()?.path
      if (text !== old) await perform({ type: 'resolv-conf-install', path, text }, this.#effects)
    }
  }

  #servers(): string[] {
    const { desired, ipv6 } = this.#current!
    return desired.dns.servers.filter((server) => ipv6 || !server.includes(':'))
  }

  /** True while resolv.conf is ours to hold. */
  get holdsResolvConf(): boolean {
    return this.#current?.mode === 'resolvconf' && this.#servers().length > 0
  }

  /** What resolv.conf says now if another program has written it, undefined if it is still ours. */
  async foreignResolvConf(): Promise<Reclaimed | undefined> {
    if (!this.holdsResolvConf) return undefined
    const facts = await readResolver(this.#effects)
    if (facts.resolvConf !== undefined && markedBy(facts.resolvConf) === ownerText(this.#journal.owner))
      return undefined
    return { upstreams: upstreamsOf(facts, this.#servers()).upstreams }
  }

  /** Puts ours over what another program has written; that is what will be restored in the end. */
  async reclaimResolvConf(): Promise<void> {
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
