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

const text = (e: DnsLogEntry) => `${e.name} ${e.type} ${e.rcode} ${e.rule} ${e.upstream}`

const columnsWith = (onTrace: (name: string, type: string) => void): Column<DnsLogEntry>[] => [
  { key: 'at', title: 'Time', width: '11%', cell: (e) => time(e.at), order: (e) => e.seq },
  {
    key: 'name',
    title: 'Name',
    width: '33%',
    cell: (e) => (
      <button type="button" class="link" title={`Trace ${e.name}`} onClick={() => onTrace(e.name, e.type)}>
        {e.name}
      </button>
    ),
    order: (e) => e.name,
  },
  { key: 'type', title: 'Type', width: '7%', cell: (e) => e.type, order: (e) => e.type },
  {
    key: 'rcode',
    title: 'Answer',
    width: '12%',
    cell: (e) => <span class={e.rcode === 'NOERROR' ? undefined : 'bad'}>{e.rcode}</span>,
    order: (e) => e.rcode,
  },
  { key: 'upstream', title: 'From', width: '15%', cell: (e) => e.upstream, order: (e) => e.upstream },
  { key: 'rule', title: 'Rule', width: '13%', cell: (e) => e.rule, order: (e) => e.rule },
  { key: 'ms', title: 'Took', width: '9%', numeric: true, cell: (e) => milliseconds(e.ms), order: (e) => e.ms },
]

export function Names(): JSX.Element {
  const entries = useTopic('names')
  const [filter, setFilter] = useState('')
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
  const rows = useMemo(() => arrange(entries, columns, sorting, filter, text), [entries, columns, sorting, filter])
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
        <p class="muted">
          {filter ? `${rows.length} of ` : ''}the last {count(entries.length, 'question')}
        </p>
      </div>
      <Table
        label="Questions for names"
        columns={columns}
        rows={rows}
        id={(e) => e.seq}
        sorting={sorting}
        onSort={setSorting}
        empty={filter ? 'No question matches the filter.' : 'No program has asked for a name yet.'}
      />
    </div>
  )
}

/** A type that is in the log and not in the list. */
function otherType(type: string): string[] {
  return ['A', 'AAAA', 'SRV', 'PTR', 'TXT', 'CNAME', 'MX', 'HTTPS'].includes(type) ? [] : [type]
}
