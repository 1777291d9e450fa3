// Carries out the plan for one question that is not in the cache. It looks up what must be known first, asks the cluster and
// the machine's own resolvers in the plan's order, and turns what comes back into an answer to the question.

import type { Clock } from '../base/clock.ts'
import type { IpAddress } from '../wire/address.ts'
import { ask, type QueryFlags } from './ask.ts'
import { EDE, questionWire } from './build.ts'
import type { DnsCounters, DnsDecision, DnsUpstream } from './interfaces.ts'
import type { Labels } from './labels.ts'
import { nameText, nameWire, RCODE, TYPE, u16 } from './message.ts'
import { decide, HOST_LABEL, type Knowledge, type LabelKind, type Plan } from './names.ts'
import { rcodeName } from './records.ts'
import { completed, type Exchange, lifetime, ownAnswer, type Resolved, ResolveError, shortAnswer } from './shape.ts'

/** The longest that a question waits for a lost tunnel, from its beginning. It is less than the 5 s that glibc waits. */
const RECONNECT_MS = 4_800
// A public name must not wait long for a cluster that does not say whether a namespace has the name of its last label.
const PROBE_MS = 1000
// A new Service must be found soon, whatever the SOA of the root or of the cluster says.
const SHORT_NAME_NEGATIVE_S = 10
// The same holds for a name that the cluster did not have.
const SHORT_NAME_LOCAL_S = 60
// RFC 2308 5 allows hours; minutes are kinder to somebody who has just added a record.
const NEGATIVE_S = 300
// A machine whose network changes more often than this during one question has no network.
const MOST_NETWORKS = 3

export class Resolver {
  readonly #knowledge: Knowledge
  readonly #labels: Labels
  readonly #clock: Clock
  readonly #counters: DnsCounters
  readonly #local: DnsUpstream | undefined
  readonly #network: () => number
  readonly #machine: IpAddress | undefined
  #cluster: DnsUpstream | undefined
  #closed = false
  readonly #zone: string
  readonly #waiting = new Set<() => void>()
  readonly #probes = new Map<string, Promise<void>>()

  constructor(options: {
    knowledge: Omit<Knowledge, 'has' | 'machine'>
    labels: Labels
    clock: Clock
    counters: DnsCounters
    local: DnsUpstream | undefined
    cluster: DnsUpstream | undefined
    network: () => number
    /** Of IPv4; see MACHINE_NAME. */
    machine?: IpAddress
  }) {
    const { knowledge, labels } = options
    this.#knowledge = {
      names: knowledge.names,
      ranges: knowledge.ranges,
      hostname: knowledge.hostname,
      machine: options.machine !== undefined,
      get appended() {
        return knowledge.appended
      },
      // While the cluster cannot be asked, the last known answer holds.
      has: (kind, label) => labels.has(kind, label, this.#cluster === undefined),
    }
    this.#zone = `.svc.${knowledge.names.clusterDomain}`
    this.#labels = labels
    this.#clock = options.clock
    this.#counters = options.counters
    this.#local = options.local
    this.#network = options.network
    this.#machine = options.machine
    this.#cluster = options.cluster
  }

  setCluster(upstream: DnsUpstream | undefined): void {
    const before = this.#cluster
    this.#cluster = upstream
    if (before !== upstream) before?.close()
    if (upstream) for (const wake of [...this.#waiting]) wake()
  }

  close(): void {
    this.#closed = true
    this.setCluster(undefined)
    for (const wake of [...this.#waiting]) wake()
    this.#local?.close()
  }

  /** What would be done now, as far as it is known. */
  plan(name: string, type: number): Plan {
    return decide(name, type, this.#knowledge)
  }

  /**
   * `question` has its name in lower case and class IN. Rejects with ResolveError. `asked` gets plans and tries;
   * `mayWait` is false when a stale answer is at hand, better than waiting for the tunnel.
   */
  resolve(
    question: Uint8Array,
    flags: QueryFlags,
    mayWait: boolean,
    { tries, plans }: Pick<DnsDecision, 'tries' | 'plans'> = { tries: [] },
  ): Promise<Resolved> {
    const name = nameText(question)
    const type = u16(question, question.length - 4)
    const plan = this.plan(name, type)
    plans?.push(plan)
    const unknown = plan.unknown?.filter(({ kind, label }) => !this.#labels.isResting(kind, label))
    if (!unknown?.length || !this.#cluster) return this.#carryOut(plan, name, question, flags, mayWait, tries)
    return Promise.all(unknown.map(({ kind, label }) => this.#probe(kind, label, tries))).then(() => {
      const better = this.plan(name, type)
      plans?.push(better)
      return this.#carryOut(better, name, question, flags, mayWait, tries)
    })
  }

  async #carryOut(
    plan: Plan,
    name: string,
    question: Uint8Array,
    flags: QueryFlags,
    mayWait: boolean,
    tries: DnsDecision['tries'],
  ): Promise<Resolved> {
    const { rule } = plan
    if (plan.own) return ownAnswer(question, u16(question, question.length - 4), plan.own, rule, this.#machine)
    let missing: Resolved | undefined
    for (const suffix of plan.cluster) {
      const full = completed(question, suffix)
      if (!full) continue // longer than a name may be, so it does not exist
      const fullName = suffix === '' ? name : `${name}.${suffix}`
      const answer = await this.#askCluster(full, fullName, flags, mayWait, tries)
      const { rcode } = answer.scan
      if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN)
        throw new ResolveError({ code: EDE.NETWORK_ERROR, text: `the cluster's resolver answered ${rcodeName(rcode)}` })
      const seconds = lifetime(answer.scan, SHORT_NAME_NEGATIVE_S)
      const { message, scan } = answer
      const resolved =
        suffix === '' ? { message, scan, seconds, rule } : shortAnswer(answer, full, question, seconds, rule)
      if (rcode === RCODE.NOERROR) return resolved
      missing ??= resolved
    }
    if (missing && (plan.local === 'never' || !this.#local)) return missing
    const { message, scan, network } = await this.#askLocal(question, name, flags, tries)
    const seconds =
      plan.local === 'after'
        ? Math.min(lifetime(scan, SHORT_NAME_NEGATIVE_S), SHORT_NAME_LOCAL_S)
        : lifetime(scan, NEGATIVE_S)
    return { message, scan, seconds, rule, network }
  }

  async #askCluster(
    question: Uint8Array,
    name: string,
    flags: QueryFlags,
    mayWait: boolean,
    tries: DnsDecision['tries'],
  ): Promise<Exchange> {
    const until = this.#clock.now() + RECONNECT_MS
    for (let again = false; ; again = true) {
      if (!this.#cluster && mayWait && !this.#closed) await this.#reconnected(until)
      const upstream = this.#cluster
      if (!upstream) throw new ResolveError({ code: EDE.NETWORK_ERROR, text: 'the tunnel to the cluster is down' })
      try {
        this.#counters.toCluster++
        const answer = await this.#exchange(upstream, question, name, flags, tries)
        if (answer.scan.rcode === RCODE.NOERROR) this.#learnFrom(name)
        return answer
      } catch (error) {
        // The tunnel was lost during the query, so the next tunnel gets it once more.
        if (!again && mayWait && upstream !== this.#cluster) continue
        throw error
      }
    }
  }

  async #askLocal(
    question: Uint8Array,
    name: string,
    flags: QueryFlags,
    tries: DnsDecision['tries'],
  ): Promise<Exchange & { network: number }> {
    if (!this.#local)
      throw new ResolveError({ code: EDE.NETWORK_ERROR, text: 'this machine has no resolver of its own' })
    for (let left = MOST_NETWORKS; ; left--) {
      const network = this.#network()
      // An answer of an earlier network, or its silence, means nothing in this one.
      const isOver = () => network !== this.#network() && left > 1 && !this.#closed
      this.#counters.toLocal++
      try {
        const answer = await this.#exchange(this.#local, question, name, flags, tries)
        if (!isOver()) return { ...answer, network }
      } catch (error) {
        if (!isOver()) throw error
      }
    }
  }

  #exchange(
    upstream: DnsUpstream,
    question: Uint8Array,
    name: string,
    flags: QueryFlags,
    tries: DnsDecision['tries'],
    probe = false,
  ): Promise<Exchange> {
    return ask(upstream, question, name, flags, { clock: this.#clock, tries, probe })
  }

  #reconnected(until: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel()
        this.#waiting.delete(wake)
        resolve()
      }
      const cancel = this.#clock.after(until - this.#clock.now(), wake)
      this.#waiting.add(wake)
    })
  }

  /** Asks whether the namespace or service exists; settles when that is known or has taken too long. */
  #probe(kind: LabelKind, label: string, tries: DnsDecision['tries']): Promise<void> {
    const { clusterDomain, namespace } = this.#knowledge.names
    const zone = kind === 'namespace' ? `svc.${clusterDomain}` : `${namespace}.svc.${clusterDomain}`
    const name = `${label}.${zone}`
    const under = this.#probes.get(name)
    if (under) return under
    const wire = nameWire(name)
    if (!wire || !this.#cluster) {
      this.#labels.failed(kind, label)
      return Promise.resolve()
    }
    // Always A: CoreDNS answers NXDOMAIN to a TXT question about a namespace that exists.
    const question = questionWire(wire, TYPE.A)
    this.#counters.toCluster++
    const flags = { dnssecOk: false, checkingDisabled: false }
    const asked = this.#exchange(this.#cluster, question, name, flags, tries, true).then(
      ({ scan: { rcode } }) => {
        if (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN)
          this.#labels.learn(kind, label, rcode === RCODE.NOERROR)
        else this.#labels.failed(kind, label)
      },
      () => this.#labels.failed(kind, label),
    )
    const probe = new Promise<void>((resolve) => {
      const cancel = this.#clock.after(PROBE_MS, () => {
        this.#labels.failed(kind, label)
        resolve()
      })
      asked.then(() => {
        cancel()
        resolve()
      })
    }).finally(() => this.#probes.delete(name))
    this.#probes.set(name, probe)
    return probe
  }

  // `web.shop.svc.cluster.local` exists, so the namespace `shop` does, and in ours the service `web`.
  #learnFrom(name: string): void {
    if (!name.endsWith(this.#zone)) return
    const [namespace, service] = name.slice(0, -this.#zone.length).split('.').reverse()
    if (!HOST_LABEL.test(namespace)) return
    this.#labels.learn('namespace', namespace, true)
    if (namespace === this.#knowledge.names.namespace && service !== undefined)
      this.#labels.learn('service', service, true)
  }
}
