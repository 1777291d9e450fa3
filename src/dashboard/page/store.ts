// What the page knows: filled by the server's events, read by components through useTopic.
import { useEffect, useState } from 'preact/hooks'
import type { DnsLogEntry } from '../../control/views.ts'
import type { Connection, FlowRow, Messages, Sample, Topic } from '../model.ts'

/** A page nobody looks at lets its stream go after this long. */
const HIDDEN_MS = 30_000
/** As many points as the server keeps. */
const MOST_SAMPLES = 600
const MOST_NAMES = 500

export interface Known {
  /** `lost`: the server does not answer. `ended`: it is another one now, which this page has no token for. */
  stream: 'opening' | 'open' | 'lost' | 'ended'
  connection: Connection
  samples: Sample[]
  /** `rows` is changed in place; the object around it is new with each change. */
  flows: { rows: Map<number, FlowRow>; total: number }
  services: Messages['services']
  team: Messages['team']
  held: Messages['held']
  names: DnsLogEntry[]
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
}

let source: EventSource | undefined

function open(): void {
  if (source) return
  source = new EventSource('/events')
  source.onopen = () => set('stream', 'open')
  // The browser tries again by itself, unless the answer was a refusal.
  source.onerror = () => set('stream', source?.readyState === EventSource.CLOSED ? 'ended' : 'lost')
  for (const topic of Object.keys(take) as Topic[])
    source.addEventListener(topic, (event) => take[topic](JSON.parse(event.data)))
}

function close(): void {
  source?.close()
  source = undefined
}

/** Follows the server's events for as long as the page is seen. */
export function follow(): void {
  let hidden: ReturnType<typeof setTimeout> | undefined
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden)
    if (document.hidden) hidden = setTimeout(close, HIDDEN_MS)
    else open()
  })
  open()
}
