// What changed between two lists of flows, so that a page with thousands of them gets the few that moved.
import type { ClosedFlow, FlowReport, Flows } from '../control/views.ts'
import type { FlowChanges, FlowRow } from './model.ts'

// Ages come as milliseconds from the engine's clock and are told as times of day here, so they tremble a little.
const TREMBLE_MS = 1500

export class FlowTable {
  #rows = new Map<number, FlowRow>()
  #total = 0
  #at = 0

  /** Takes the newest list; `now` is ms since 1970. Returns what a page has to be told, or undefined for nothing. */
  update({ flows, total, closed = [] }: Flows, now: number): FlowChanges | undefined {
    const next = new Map<number, FlowRow>()
    const changed: FlowRow[] = []
    const seconds = this.#at === 0 ? 0 : (now - this.#at) / 1000
    this.#at = now
    for (const flow of [...flows, ...closed]) {
      const before = this.#rows.get(flow.id)
      const row = rowOf(flow, now, before, seconds)
      next.set(flow.id, row)
      if (row !== before) changed.push(row)
    }
    const gone = [...this.#rows.keys()].filter((id) => !next.has(id))
    const same = changed.length === 0 && gone.length === 0 && total === this.#total
    this.#rows = next
    this.#total = total
    return same ? undefined : { reset: false, changed, gone, total }
  }

  /** For a page that knows nothing yet. */
  all(): FlowChanges {
    return { reset: true, changed: [...this.#rows.values()], gone: [], total: this.#total }
  }
}

/** `before` itself if nothing of it changed. */
function rowOf(flow: FlowReport | ClosedFlow, now: number, before: FlowRow | undefined, seconds: number): FlowRow {
  const closed = 'closedMs' in flow
  const rate = (moved: number | undefined) => (closed || !moved || seconds <= 0 ? 0 : Math.max(0, moved) / seconds)
  const row: FlowRow = {
    id: flow.id,
    protocol: flow.protocol,
    state: flow.state,
    // Whose socket it was cannot be found out any more when it is closed.
    program: flow.process?.name ?? before?.program ?? '',
    pid: flow.process?.pid ?? before?.pid ?? null,
    local: flow.local,
    remote: flow.remote,
    name: flow.name ?? '',
    bytesIn: flow.bytesIn,
    bytesOut: flow.bytesOut,
    rateIn: rate(before && flow.bytesIn - before.bytesIn),
    rateOut: rate(before && flow.bytesOut - before.bytesOut),
    opened: before?.opened ?? Math.round(now - flow.ageMs - (closed ? flow.closedMs : 0)),
    active: steady(Math.round(now - flow.idleMs), before?.active),
    closed: closed ? (before?.closed ?? Math.round(now - flow.closedMs)) : null,
  }
  return before && sameRow(row, before) ? before : row
}

function steady(time: number, before: number | undefined): number {
  return before !== undefined && Math.abs(time - before) < TREMBLE_MS ? before : time
}

function sameRow(a: FlowRow, b: FlowRow): boolean {
  return (Object.keys(a) as (keyof FlowRow)[]).every((key) => a[key] === b[key])
}
