// What programs asked for by name, who answered, and the way of one question in all its steps.
import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { DnsLogEntry, DnsTrace } from '../../control/views.ts'
import { act } from './act.ts'
import { Filter } from './filter.tsx'
import { count, milliseconds, time } from './format.ts'
import { arrange } from './rows.ts'
import { useTopic } from './store.ts'
import { type Column, type Sorting, Table } from './table.tsx'
import { Trace } from './trace.tsx'

/** Questions that are alike: the same name, type and answer. The newest of them, with how many there are. */
export interface NameRow extends DnsLogEntry {
  times: number
}

/** `failures`: only what got no answer. Newest last. */
export function grouped(entries: readonly DnsLogEntry[], failures: boolean): NameRow[] {
  const rows = new Map<string, NameRow>()
  for (const entry of entries) {
    if (failures && entry.rcode === 'NOERROR') continue
    const key = `${entry.name} ${entry.type} ${entry.rcode}`
    const times = (rows.get(key)?.times ?? 0) + 1
    rows.delete(key) // the newest decides on the order
    rows.set(key, { ...entry, times })
  }
  return [...rows.values()]
}

const text = (e: NameRow) => `${e.name} ${e.type} ${e.rcode} ${e.rule} ${e.upstream}`

const columnsWith = (onTrace: (name: string, type: string) => void): Column<NameRow>[] => [
  { key: 'at', title: 'Last', width: '98px', cell: (e) => time(e.at), order: (e) => e.seq },
  {
    key: 'times',
    title: 'Times',
    width: '7%',
    numeric: true,
    cell: (e) => (e.times > 1 ? `${e.times} ×` : ''),
    order: (e) => e.times,
  },
  {
    key: 'name',
    title: 'Name',
    width: '26%',
    cell: (e) => (
      <button
        type="button"
        class="link"
        title={`Trace ${e.name}`}
        onClick={(event) => {
          event.stopPropagation()
          onTrace(e.name, e.type)
        }}
      >
        {e.name}
      </button>
    ),
    order: (e) => e.name,
  },
  { key: 'type', title: 'Type', width: '6%', cell: (e) => e.type, order: (e) => e.type },
  {
    key: 'rcode',
    title: 'Answer',
    width: '12%',
    cell: (e) => <span class={e.rcode === 'NOERROR' ? undefined : 'bad'}>{e.rcode}</span>,
    order: (e) => e.rcode,
  },
  { key: 'upstream', title: 'From', width: '14%', cell: (e) => e.upstream, order: (e) => e.upstream },
  { key: 'rule', title: 'Rule', width: '17%', cell: (e) => e.rule, order: (e) => e.rule },
  { key: 'ms', title: 'Took', width: '8%', numeric: true, cell: (e) => milliseconds(e.ms), order: (e) => e.ms },
]

export function Names(): JSX.Element {
  const entries = useTopic('names')
  const [filter, setFilter] = useState('')
  const [failures, setFailures] = useState(true)
  const [sorting, setSorting] = useState<Sorting>({ key: 'at', descending: true })
  const [name, setName] = useState('')
  const [type, setType] = useState('A')
  const [trace, setTrace] = useState<DnsTrace>()
  const [said, setSaid] = useState('')
  const run = async (wanted: string, wantedType: string) => {
    setName(wanted)
    setType(wantedType)
    setSaid(`Asking for ${wanted}…`)
    const outcome = await act('trace', { name: wanted, type: wantedType })
    setTrace(outcome.ok ? outcome.result : undefined)
    setSaid(outcome.ok ? '' : `${outcome.message}; ${outcome.hint}`)
  }
  // Run uses nothing but setters.
  const columns = useMemo(() => columnsWith(run), [])
  const groups = useMemo(() => grouped(entries, failures), [entries, failures])
  const rows = useMemo(() => arrange(groups, columns, sorting, filter, text), [groups, columns, sorting, filter])
  return (
    <div class="full">
      <form
        class="bar"
        aria-label="Trace a name"
        onSubmit={(event) => {
          event.preventDefault()
          if (name.trim()) void run(name.trim(), type)
        }}
      >
        <input
          type="text"
          aria-label="Name to trace"
          placeholder="web, web.shop, db-0.db.shop, example.com…"
          value={name}
          maxLength={255}
          spellcheck={false}
          autocapitalize="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <select aria-label="Record type" value={type} onChange={(event) => setType(event.currentTarget.value)}>
          {['A', 'AAAA', 'SRV', 'PTR', 'TXT', 'CNAME', 'MX', 'HTTPS', ...otherType(type)].map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
        <button type="submit" class="primary">
          Trace
        </button>
        <p role="status" class="muted">
          {said}
        </p>
      </form>
      {trace && <Trace trace={trace} onClose={() => setTrace(undefined)} />}
      <div class="bar">
        <Filter label="Filter names" hint="name, type, answer, resolver…" value={filter} onChange={setFilter} />
        <label class="check">
          <input type="checkbox" checked={failures} onChange={(event) => setFailures(event.currentTarget.checked)} />
          Failures only
        </label>
        <p class="muted">
          {failures || filter ? `${count(rows.length, 'name')} of ` : ''}the last {count(entries.length, 'question')}
        </p>
      </div>
      <Table
        label="Questions for names"
        columns={columns}
        rows={rows}
        id={(e) => `${e.name} ${e.type} ${e.rcode}`}
        sorting={sorting}
        onSort={setSorting}
        onOpen={(e) => void run(e.name, e.type)}
        empty={
          filter
            ? 'No question matches the filter.'
            : failures && entries.length > 0
              ? 'Every name that a program asked for got an answer.'
              : 'No program has asked for a name yet.'
        }
      />
    </div>
  )
}

/** A type that is in the log and not in the list. */
function otherType(type: string): string[] {
  return ['A', 'AAAA', 'SRV', 'PTR', 'TXT', 'CNAME', 'MX', 'HTTPS'].includes(type) ? [] : [type]
}
