// What the server tells the page: messages of one event stream, by topic. Types only, since both sides import them.
import type { Held, ServiceReports, Status, Team } from '../control/protocol.ts'
import type { DnsLogEntry, DnsTrace, PutBack } from '../control/views.ts'

/** Is there an engine, and what does it say of itself. */
export interface Connection {
  /** `stale`: one died and left its settings. `denied`: its socket may not be opened. */
  engine: 'up' | 'none' | 'stale' | 'denied'
  /** For `denied`: why, and what to do. */
  message: string
  /** Null without an engine. */
  status: Status | null
}

/** One second of the curves. */
export interface Sample {
  /** ms since 1970. */
  at: number
  /** Bytes a second, to and from this machine's programs; null across a gap. */
  in: number | null
  out: number | null
  roundTripMs: number | null
}

export interface FlowRow {
  id: number
  protocol: string
  state: string
  program: string
  pid: number | null
  local: string
  remote: string
  /** Of the service or pod; empty if not known. */
  name: string
  bytesIn: number
  bytesOut: number
  /** ms since 1970: when it was opened, and when something came from the program last. */
  opened: number
  active: number
}

export interface FlowChanges {
  /** Forget all rows first. */
  reset: boolean
  changed: FlowRow[]
  gone: number[]
  /** Of all flows, also those that were not listed. */
  total: number
}

/** What a list in the cluster said last; `error` when it could not be asked. */
export interface Listed<T> {
  data: T | null
  error: string | null
}

/** Topics of the event stream: every page gets each once when it comes, then whenever something changed. */
export interface Messages {
  connection: Connection
  /** The first message has all that are kept, the others one each. */
  samples: { reset: boolean; samples: Sample[] }
  flows: FlowChanges
  services: Listed<ServiceReports>
  team: Listed<Team>
  /** What this user's processes on this machine hold, with or without an engine. */
  held: Held[]
  /** What programs asked: newest last. */
  names: { reset: boolean; entries: DnsLogEntry[] }
}
export type Topic = keyof Messages

/** POST /api/NAME with a JSON body; answered with a JSON Outcome. */
export interface Actions {
  disconnect: [Record<string, never>, { notes: string[] }]
  leave: [{ kind: Held['kind']; target: string; namespace: string }, { notes: string[] }]
  recover: [{ target: string; namespace: string }, PutBack]
  trace: [{ name: string; type: string }, DnsTrace]
}
export type Action = keyof Actions
export type Outcome<A extends Action> =
  | { ok: true; result: Actions[A][1] }
  | { ok: false; message: string; hint: string }
