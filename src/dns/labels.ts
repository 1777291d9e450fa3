// What is known of last labels: is `shop` a namespace, is `db` a service of ours. Learned by asking the cluster for
// `shop.svc.cluster.local` (which needs no right to list anything) and from full names that were answered. Bounded, so
// that no web page can fill it with made-up top-level domains.
import type { Clock } from '../base/clock.ts'
import type { LabelKind } from './names.ts'

const POSITIVE_MS = 600_000
const NEGATIVE_MS = 60_000
// A service comes and goes faster than a namespace, and CoreDNS itself keeps an answer for 30 s.
const SERVICE_MS = 30_000
const FAILED_MS = 10_000
const MOST = 4096
// Routing domains for systemd-resolved: beyond this the host's schema refuses the list (4096 with the zones).
const MOST_NAMESPACES = 2000

// With so many, systemd-resolved has no room for all, and it matters which are used.
const CROWDED = 200

interface Known {
  /** Undefined when the cluster was asked and did not say. */
  exists: boolean | undefined
  until: number
}

export class Labels {
  readonly #clock: Clock
  readonly #fixed: Set<string>
  /** Of the fixed ones, those that programs have named. */
  readonly #used = new Set<string>()
  readonly #known = new Map<string, Known>()
  readonly #changed: () => void

  /** `fixed`: namespaces that are there whatever is asked. `changed`: a namespace was learned or went. */
  constructor(clock: Clock, fixed: Iterable<string>, changed: () => void) {
    this.#clock = clock
    this.#fixed = new Set(fixed)
    this.#changed = changed
  }

  /** Undefined if it is not known or was learned too long ago; with `lastKnown` its age does not matter. */
  has(kind: LabelKind, label: string, lastKnown = false): boolean | undefined {
    if (kind === 'namespace' && this.#fixed.has(label)) return true
    const known = this.#known.get(`${kind} ${label}`)
    return known && (lastKnown || known.until > this.#clock.now()) ? known.exists : undefined
  }

  /** What the cluster said. */
  learn(kind: LabelKind, label: string, exists: boolean): void {
    this.#set(kind, label, exists, kind === 'service' ? SERVICE_MS : exists ? POSITIVE_MS : NEGATIVE_MS)
  }

  /** The cluster did not answer: what was known last holds for a short while, and it is not asked again meanwhile. */
  failed(kind: LabelKind, label: string): void {
    this.#set(kind, label, this.has(kind, label, true), FAILED_MS)
  }

  /** Whether the cluster was asked a moment ago and did not answer. */
  isResting(kind: LabelKind, label: string): boolean {
    const known = this.#known.get(`${kind} ${label}`)
    return known !== undefined && known.exists === undefined && known.until > this.#clock.now()
  }

  /** All namespaces known: first those that programs have named, then the fixed ones; each sorted. */
  namespaces(): string[] {
    const learned: string[] = []
    for (const [key, { exists }] of this.#known)
      if (exists && key.startsWith('namespace ')) learned.push(key.slice('namespace '.length))
    const named = [...learned, ...this.#used].sort()
    const others = [...this.#fixed].filter((label) => !this.#used.has(label)).sort()
    return [...named, ...others].slice(0, MOST_NAMESPACES)
  }

  #set(kind: LabelKind, label: string, exists: boolean | undefined, ms: number): void {
    if (kind === 'namespace' && this.#fixed.has(label)) {
      this.#use(label, exists)
      return
    }
    const key = `${kind} ${label}`
    const before = this.#known.get(key)?.exists ?? false
    this.#known.delete(key)
    this.#known.set(key, { exists, until: this.#clock.now() + ms })
    if (this.#known.size > MOST) this.#makeRoom()
    if (kind === 'namespace' && before !== (exists ?? false)) this.#changed()
  }

  #use(label: string, exists: boolean | undefined): void {
    if (!exists || this.#used.has(label)) return
    this.#used.add(label)
    if (this.#fixed.size > CROWDED) this.#changed()
  }

  // What does not exist goes first: it is what a flood of made-up names consists of.
  #makeRoom(): void {
    for (const [key, { exists }] of this.#known) {
      if (!exists) {
        this.#known.delete(key)
        return
      }
    }
    this.#known.delete(this.#known.keys().next().value!)
  }
}
