// All services that can be seen, and which of them can be reached from this machine.
import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { ServiceReport } from '../../control/protocol.ts'
import { Filter } from './filter.tsx'
import { count } from './format.ts'
import { arrange } from './rows.ts'
import { useTopic } from './store.ts'
import { type Column, type Sorting, Table } from './table.tsx'

const reach = (service: ServiceReport) =>
  service.reachable ? 'reachable' : service.reachable === null ? 'unknown' : 'not reachable'
const kinds = { reachable: 'good', unknown: 'idle', 'not reachable': 'bad' } as const
const ports = ({ ports }: ServiceReport) =>
  ports.map(({ port, protocol }) => (protocol === 'TCP' ? String(port) : `${port}/${protocol}`)).join(', ')
const ready = ({ ready, total }: ServiceReport) => (ready === null ? '?' : `${ready} of ${total}`)

const columns: Column<ServiceReport>[] = [
  { key: 'name', title: 'Service', width: '19%', cell: (s) => <strong>{s.name}</strong>, order: (s) => s.name },
  { key: 'namespace', title: 'Namespace', width: '13%', cell: (s) => s.namespace, order: (s) => s.namespace },
  {
    key: 'reach',
    title: 'From here',
    width: '27%',
    cell: (s) => (
      <span title={s.why}>
        <span class={`dot ${kinds[reach(s)]}`} aria-hidden="true" /> {reach(s)}
        {s.why !== 'routed' && <span class="muted">: {s.why}</span>}
      </span>
    ),
    order: reach,
  },
  { key: 'ready', title: 'Endpoints', width: '9%', numeric: true, cell: ready, order: (s) => s.ready ?? -1 },
  { key: 'type', title: 'Type', width: '9%', cell: (s) => s.type, order: (s) => s.type },
  { key: 'address', title: 'Address', width: '13%', cell: (s) => <code>{s.addresses.join(', ') || '–'}</code> },
  { key: 'ports', title: 'Ports', width: '10%', cell: (s) => <code>{ports(s) || '–'}</code> },
]
const text = (s: ServiceReport) =>
  [s.name, `${s.name}.${s.namespace}`, s.type, reach(s), ready(s), ...s.addresses, ports(s), s.why].join(' ')

export function Services(): JSX.Element {
  const { data, error } = useTopic('services')
  const [filter, setFilter] = useState('')
  const [sorting, setSorting] = useState<Sorting>({ key: 'namespace', descending: false })
  const services = data?.services
  const rows = useMemo(() => arrange(services ?? [], columns, sorting, filter, text), [services, sorting, filter])
  const reachable = useMemo(() => (services ?? []).filter((s) => s.reachable).length, [services])
  return (
    <div class="full">
      <div class="bar">
        <Filter
          label="Filter services"
          hint="name, namespace, address, reachable…"
          value={filter}
          onChange={setFilter}
        />
        <p role="status" class="muted">
          {services
            ? `${filter ? `${rows.length} of ` : ''}${count(services.length, 'service')}, ${reachable} reachable`
            : 'Asking the cluster…'}
        </p>
      </div>
      {error && <p class="bad">The cluster could not be asked: {error}</p>}
      {data?.notes.map((note) => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
      <Table
        label="Services"
        columns={columns}
        rows={rows}
        id={(s) => `${s.namespace}/${s.name}`}
        sorting={sorting}
        onSort={setSorting}
        empty={services ? (filter ? 'No service matches the filter.' : 'There are no services.') : ''}
      />
    </div>
  )
}
