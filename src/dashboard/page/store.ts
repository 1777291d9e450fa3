// What the page knows: filled by the server's events, read by components through useTopic.
import { useEffect, useState } from 'preact/hooks'
import type { DnsLogEntry, Sample } from '../../control/views.ts'
import type { Connection, FlowRow, Messages, RequestRow, Topic } from '../model.ts'
import { followEvents } from './events.ts'
import { enter } from './page-session.ts'

/** A page nobody looks at lets its stream go after this long. */
const HIDDEN_MS = 30_000
/** As many points as the server keeps. */
const MOST_SAMPLES = 600
const MOST_NAMES = 500
const MOST_REQUESTS = 500

export interface Known {
  /** `lost`: the server does not answer. `ended`: it does not know this page (any more). */
  stream: 'opening' | 'open' | 'lost' | 'ended'
  connection: Connection
  samples: Sample[]
  /** `rows` is changed in place; the object around it is new with each change. */
  flows: { rows: Map<number, FlowRow>; total: number }
  services: Messages['services']
  team: Messages['team']
  held: Messages['held']
  names: DnsLogEntry[]
  requests: { rows: RequestRow[]; unread: number; notes: string[]; bodies: boolean }
  forwards: Messages['forwards']
}

const known: Known = {
  stream: 'opening',
  connection: { engine: 'none', message: '', status: null },
  samples: [],
  flows: { rows: new Map(), total: 0 },
  services: { data: null, error: null },
  team: { data: null, error: null },
  held: [],
  names: [],
  requests: { rows: [], unread: 0, notes: [], bodies: false },
  forwards: [],
}
const listeners = new Map<keyof Known, Set<() => void>>()

function set<K extends keyof Known>(key: K, value: Known[K]): void {
  known[key] = value
  for (const listener of listeners.get(key) ?? []) listener()
}

/** The newest of one topic; the component is rendered again when it changes. */
export function useTopic<K extends keyof Known>(key: K): Known[K] {
  const [value, setValue] = useState<{ of: Known[K] }>({ of: known[key] })
  useEffect(() => {
    const listen = () => setValue({ of: known[key] })
    const all = listeners.get(key) ?? new Set()
    listeners.set(key, all)
    all.add(listen)
    listen()
    return () => void all.delete(listen)
  }, [key])
  return value.of
}

const take: { [T in Topic]: (message: Messages[T]) => void } = {
  connection: (message) => set('connection', message),
  samples: ({ reset, samples }) =>
    set('samples', reset ? samples : [...known.samples, ...samples].slice(-MOST_SAMPLES)),
  flows: ({ reset, changed, gone, total }) => {
    const rows = reset ? new Map<number, FlowRow>() : known.flows.rows
    for (const id of gone) rows.delete(id)
    for (const row of changed) rows.set(row.id, row)
    set('flows', { rows, total })
  },
  services: (message) => set('services', message),
  team: (message) => set('team', message),
  held: (message) => set('held', message),
  names: ({ reset, entries }) => set('names', reset ? entries : [...known.names, ...entries].slice(-MOST_NAMES)),
  requests: ({ reset, entries, unread, notes, bodies }) =>
    set('requests', {
      rows: reset ? entries : [...known.requests.rows, ...entries].slice(-MOST_REQUESTS),
      unread,
      notes,
      bodies,
    }),
  forwards: (message) => set('forwards', message),
}

let leave: (() => void) | undefined

function open(): void {
  leave ??= followEvents('/events', {
    onOpen: () => set('stream', 'open'),
    onRefused: () => set('stream', 'ended'),
    onLost: () => set('stream', 'lost'),
    onEvent: (topic, data) => {
      if (topic in take) (take[topic as Topic] as (message: unknown) => void)(JSON.parse(data))
    },
  })
}

function close(): void {
  leave?.()
  leave = undefined
}

/** Follows the server's events for as long as the page is seen. */
export async function follow(): Promise<void> {
  await enter()
  let hidden: ReturnType<typeof setTimeout> | undefined
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden)
    if (document.hidden) hidden = setTimeout(close, HIDDEN_MS)
    else open()
  })
  // Another printed address, opened in the same tab, changes the fragment only.
  addEventListener('hashchange', async () => {
    if (!(await enter())) return
    close()
    open()
  })
  open()
}
