// Connections of this machine's programs with the cluster, now.
import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { FlowRow } from '../model.ts'
import { Filter } from './filter.tsx'
import { age, bytes, count } from './format.ts'
import { arrange } from './rows.ts'
import { useTopic } from './store.ts'
import { type Column, type Sorting, Table } from './table.tsx'

const columns: Column<FlowRow>[] = [
  {
    key: 'program',
    title: 'Program',
    width: '16%',
    cell: (f) => (
      <>
        {f.program || '–'} {f.pid !== null && <span class="muted">{f.pid}</span>}
      </>
    ),
    order: (f) => f.program,
  },
  {
    key: 'name',
    title: 'To',
    width: '22%',
    cell: (f) => (f.name ? <strong>{f.name}</strong> : <span class="muted">–</span>),
    order: (f) => f.name,
  },
  { key: 'remote', title: 'Address', width: '20%', cell: (f) => <code>{f.remote}</code>, order: (f) => f.remote },
  {
    key: 'state',
    title: 'State',
    width: '14%',
    cell: (f) => `${f.protocol.toUpperCase()} ${f.state.toLowerCase()}`,
    order: (f) => `${f.protocol} ${f.state}`,
  },
  { key: 'in', title: 'Received', width: '10%', numeric: true, cell: (f) => bytes(f.bytesIn), order: (f) => f.bytesIn },
  { key: 'out', title: 'Sent', width: '9%', numeric: true, cell: (f) => bytes(f.bytesOut), order: (f) => f.bytesOut },
  {
    key: 'age',
    title: 'Age',
    width: '9%',
    numeric: true,
    cell: (f) => age(Date.now() - f.opened),
    order: (f) => -f.opened,
  },
]
const text = (f: FlowRow) => `${f.program} ${f.pid} ${f.name} ${f.remote} ${f.local} ${f.protocol} ${f.state}`

export function Flows(): JSX.Element {
  const flows = useTopic('flows')
  useTopic('connection') // each second, so that ages go on
  const [filter, setFilter] = useState('')
  const [sorting, setSorting] = useState<Sorting>({ key: 'age', descending: false })
  const rows = useMemo(() => arrange(flows.rows.values(), columns, sorting, filter, text), [flows, sorting, filter])
  const unlisted = flows.total - flows.rows.size
  return (
    <div class="full">
      <div class="bar">
        <Filter label="Filter flows" hint="program, service, address, state…" value={filter} onChange={setFilter} />
        <p role="status" class="muted">
          {filter ? `${rows.length} of ` : ''}
          {count(flows.rows.size, 'flow')}
          {unlisted > 0 && `, ${unlisted} more are not listed`}
        </p>
      </div>
      <Table
        label="Flows"
        columns={columns}
        rows={rows}
        id={(f) => f.id}
        sorting={sorting}
        onSort={setSorting}
        empty={filter ? 'No flow matches the filter.' : 'No program talks to the cluster right now.'}
      />
    </div>
  )
}
