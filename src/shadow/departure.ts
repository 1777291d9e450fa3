// When an agent that serves ports ends after it was told to (SIGTERM: an eviction, a drained node, `kubectl delete pod`). Requests
// still reach it until the cluster's nodes have learned of its end, so it serves on until its clients say that others serve in
// its place. Pure: time comes in.

/** kube-proxy applies a change of the endpoints within a second (--iptables-min-sync-period 1s); as long again for a slow node. */
const NODES_FOLLOW_MS = 2_000

export class Departure<Session> {
  readonly #stayMs: number
  /** Whether each session that is open has released the agent. */
  readonly #sessions = new Map<Session, boolean>()
  #toldAt: number | undefined
  #releasedAt: number | undefined

  /** `stayMs`: how long it serves when no client says anything. By then its Job has made another pod. */
  constructor(stayMs: number) {
    this.#stayMs = stayMs
  }

  get told(): boolean {
    return this.#toldAt !== undefined
  }

  /** True when all clients have said that the agent is not needed any more. */
  get released(): boolean {
    return this.#releasedAt !== undefined && ![...this.#sessions.values()].includes(false)
  }

  tell(now: number): void {
    this.#toldAt ??= now
  }

  join(session: Session): void {
    this.#sessions.set(session, false)
    this.#releasedAt = undefined
  }

  lose(session: Session): void {
    // It may come back, and needs the agent until then.
    if (this.#sessions.get(session) === false) this.#releasedAt = undefined
    this.#sessions.delete(session)
  }

  release(session: Session, now: number): void {
    if (!this.#sessions.has(session)) return
    this.#sessions.set(session, true)
    this.#releasedAt = now
  }

  /** When it stops to serve: undefined while nobody has told it to end. */
  endsAt(): number | undefined {
    if (this.#toldAt === undefined) return undefined
    const latest = this.#toldAt + this.#stayMs
    if (this.#releasedAt === undefined || !this.released) return latest
    // Released before it was told: nothing has led here for some time.
    if (this.#releasedAt <= this.#toldAt) return this.#toldAt
    return Math.min(latest, this.#releasedAt + NODES_FOLLOW_MS)
  }
}
