// What the server tells the page: messages of one event stream, by topic. Types only, since both sides import them.
import type { Held, ServiceReports, Status, Team } from '../control/protocol.ts'
import type { DnsLogEntry, DnsTrace, PutBack, RequestReport, Sample } from '../control/views.ts'

/** Is there an engine, and what does it say of itself. */
export interface Connection {
  /** `stale`: one died and left its settings. `denied`: its socket may not be opened. */
  engine: 'up' | 'none' | 'stale' | 'denied'
  /** For `denied`: why, and what to do. */
  message: string
  /** Null without an engine. */
  status: Status | null
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
  /** Bytes a second since the list before. */
  rateIn: number
  rateOut: number
  /** When it ended, ms since 1970; null while it is open. */
  closed: number | null
}

/** A request that came to this machine, and through which of the Services that are held. */
export interface RequestRow extends RequestReport {
  /** Of all of them. */
  key: string
  target: string
  namespace: string
}

/** What has come to this machine since the message before. */
export interface RequestsTold {
  reset: boolean
  entries: RequestRow[]
  /** Open connections that are not read. */
  unread: number
  /** Sentences: what could not be read. */
  notes: string[]
  /** Whether the beginnings of bodies are asked for. */
  bodies: boolean
}

/** `kt exchange`, `kt mesh` or `kt forward`, as the page begins it. */
export interface Start {
  kind: 'exchange' | 'mesh' | 'forward'
  target: string
  namespace: string
  local: number
  remote: number
}

/** A `kt forward` that this page has begun. */
export interface Forwarded {
  target: string
  namespace: string
  local: number
  remote: number
  /** What it said last, where it does not lead there yet or any more. */
  trouble: string
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
  requests: RequestsTold
  forwards: Forwarded[]
}
export type Topic = keyof Messages

/** POST /api/NAME with a JSON body; answered with a JSON Outcome. */
export interface Actions {
  disconnect: [Record<string, never>, { notes: string[] }]
  leave: [{ kind: Held['kind']; target: string; namespace: string }, { notes: string[] }]
  start: [Start, { message: string }]
  unforward: [{ local: number }, Record<string, never>]
  recover: [{ target: string; namespace: string }, PutBack]
  bodies: [{ on: boolean }, Record<string, never>]
  trace: [{ name: string; type: string }, DnsTrace]
}
export type Action = keyof Actions
export type Outcome<A extends Action> =
  | { ok: true; result: Actions[A][1] }
  | { ok: false; message: string; hint: string }
