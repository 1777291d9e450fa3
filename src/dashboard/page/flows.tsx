// Connections of this machine's programs with the cluster: those that are open, and those that ended within a minute.
import type { JSX } from 'preact'
import { useCallback, useMemo, useState } from 'preact/hooks'
import type { FlowRow } from '../model.ts'
import { Detail, Facts } from './detail.tsx'
import { Filter } from './filter.tsx'
import { age, bytes, count, rate, time } from './format.ts'
import { arrange } from './rows.ts'
import { useTopic } from './store.ts'
import { type Column, type Sorting, Table } from './table.tsx'

const failed = ({ closed, state }: FlowRow) => closed !== null && state !== 'closed'
const stateText = (f: FlowRow) =>
  f.closed === null || f.state === 'closed'
    ? `${f.protocol.toUpperCase()} ${f.state.toLowerCase()}`
    : `${f.protocol.toUpperCase()} ended: ${f.state}`
const moving = (f: FlowRow) => f.rateIn + f.rateOut

/** The newest flow first, and those that ended behind those that are open: the one that ended last first. */
const newest = ({ opened, closed }: FlowRow) => (closed === null ? -opened : Number.MAX_SAFE_INTEGER - closed)

const columns: Column<FlowRow>[] = [
  {
    key: 'program',
    title: 'Program',
    width: '14%',
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
    width: '18%',
    cell: (f) => (f.name ? <strong>{f.name}</strong> : <span class="muted">–</span>),
    order: (f) => f.name,
  },
  { key: 'remote', title: 'Address', width: '15%', cell: (f) => <code>{f.remote}</code>, order: (f) => f.remote },
  {
    key: 'state',
    title: 'State',
    width: '19%',
    cell: (f) =>
      f.closed === null ? (
        stateText(f)
      ) : (
        <span class="muted">
          <span class={failed(f) ? 'bad' : undefined}>{stateText(f)}</span> {age(Date.now() - f.closed)} ago
        </span>
      ),
    order: stateText,
  },
  {
    key: 'rate',
    title: 'Now',
    width: '8%',
    numeric: true,
    cell: (f) => (moving(f) > 0 ? rate(moving(f)) : <span class="muted">–</span>),
    order: moving,
  },
  { key: 'in', title: 'Received', width: '9%', numeric: true, cell: (f) => bytes(f.bytesIn), order: (f) => f.bytesIn },
  { key: 'out', title: 'Sent', width: '9%', numeric: true, cell: (f) => bytes(f.bytesOut), order: (f) => f.bytesOut },
  {
    key: 'age',
    title: 'Age',
    width: '8%',
    numeric: true,
    cell: (f) => age((f.closed ?? Date.now()) - f.opened),
    order: newest,
  },
]
const text = (f: FlowRow) =>
  `${f.program} ${f.pid} ${f.name} ${f.remote} ${f.local} ${stateText(f)} ${f.closed === null ? 'open' : 'ended'}`

export function Flows(): JSX.Element {
  const flows = useTopic('flows')
  useTopic('connection') // each second, so that ages go on
  const [filter, setFilter] = useState('')
  const [sorting, setSorting] = useState<Sorting>({ key: 'age', descending: false })
  const [open, setOpen] = useState<number>()
  const close = useCallback(() => setOpen(undefined), [])
  const rows = useMemo(() => arrange(flows.rows.values(), columns, sorting, filter, text), [flows, sorting, filter])
  let ended = 0
  for (const { closed } of flows.rows.values()) if (closed !== null) ended++
  const listed = flows.rows.size - ended
  const unlisted = flows.total - listed
  const shown = open === undefined ? undefined : flows.rows.get(open)
  return (
    <div class="full">
      <div class="bar">
        <Filter label="Filter flows" hint="program, service, address, ended…" value={filter} onChange={setFilter} />
        <p role="status" class="muted">
          {filter ? `${rows.length} of ` : ''}
          {count(listed, 'flow')}
          {ended > 0 && ` open, ${ended} ended in the last minute`}
          {unlisted > 0 && `, ${unlisted} more are not listed`}
        </p>
      </div>
      <div class="split">
        <Table
          label="Flows"
          columns={columns}
          rows={rows}
          id={(f) => f.id}
          sorting={sorting}
          onSort={setSorting}
          open={open}
          onOpen={(f) => setOpen(f.id)}
          empty={filter ? 'No flow matches the filter.' : 'No program talks to the cluster right now.'}
        />
        {shown && (
          <Detail title={`${shown.program || 'A program'} to ${shown.name || shown.remote}`} onClose={close}>
            <Facts
              rows={[
                ['State', stateText(shown)],
                ['Program', shown.pid === null ? 'not known' : `${shown.program}, process ${shown.pid}`],
                ['From', <code>{shown.local}</code>],
                ['To', <code>{shown.remote}</code>],
                ['Name', shown.name],
                ['Received', `${bytes(shown.bytesIn)}, now ${rate(shown.rateIn)}`],
                ['Sent', `${bytes(shown.bytesOut)}, now ${rate(shown.rateOut)}`],
                ['Opened', time(shown.opened)],
                ['Ended', shown.closed === null ? '' : time(shown.closed)],
              ]}
            />
          </Detail>
        )}
      </div>
    </div>
  )
}
