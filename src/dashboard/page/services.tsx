// All services that can be seen: those of the own namespace first, who holds which, and what can be done with one.
import type { JSX } from 'preact'
import { useCallback, useMemo, useState } from 'preact/hooks'
import type { ServiceReport } from '../../control/protocol.ts'
import type { Ask } from './dialog.tsx'
import { Filter } from './filter.tsx'
import { count } from './format.ts'
import { arrange } from './rows.ts'
import { ServiceDetail } from './service-detail.tsx'
import { idOf, type ServiceRow, withHolders } from './service-rows.ts'
import { useTopic } from './store.ts'
import { type Column, type Sorting, Table } from './table.tsx'

const reach = (service: ServiceReport) =>
  service.reachable ? 'reachable' : service.reachable === null ? 'unknown' : 'not reachable'
const kinds = { reachable: 'good', unknown: 'idle', 'not reachable': 'bad' } as const
const ports = ({ ports }: ServiceReport) =>
  ports.map(({ port, protocol }) => (protocol === 'TCP' ? String(port) : `${port}/${protocol}`)).join(', ')
const ready = ({ ready, total }: ServiceReport) => (ready === null ? '?' : `${ready} of ${total}`)
const heldText = ({ held }: ServiceRow) =>
  held.map(({ verb, who, version }) => `${verb} by ${who}${version && `, ${version}`}`).join('; ')

const columnsFor = (own: string): Column<ServiceRow>[] => [
  {
    key: 'name',
    title: 'Service',
    width: '22%',
    cell: (s) => <strong>{s.name}</strong>,
    order: (s) => s.name,
  },
  {
    key: 'namespace',
    title: 'Namespace',
    width: '14%',
    cell: (s) => s.namespace,
    // One's own first.
    order: (s) => `${s.namespace === own ? 0 : 1} ${s.namespace} ${s.name}`,
  },
  {
    key: 'held',
    title: 'Held',
    width: '22%',
    cell: (s) =>
      s.held.map(({ verb, who, own }) => (
        <span key={`${verb} ${who}`}>
          <span class={own ? 'tag own' : 'tag'}>{verb}</span> {own ? 'by you' : who}{' '}
        </span>
      )),
    // What is held comes first, whichever way it is sorted at first.
    order: (s) => (s.held.length > 0 ? `0 ${heldText(s)}` : '1'),
  },
  {
    key: 'reach',
    title: 'From here',
    width: '22%',
    cell: (s) => (
      <>
        <span class={`dot ${kinds[reach(s)]}`} aria-hidden="true" /> {reach(s)}
        {s.why !== 'routed' && <span class="muted">: {s.why}</span>}
      </>
    ),
    order: reach,
  },
  { key: 'ready', title: 'Pods', width: '8%', numeric: true, cell: ready, order: (s) => s.ready ?? -1 },
  { key: 'ports', title: 'Ports', width: '12%', cell: (s) => <code>{ports(s) || '–'}</code> },
]
const text = (s: ServiceRow) =>
  [s.name, `${s.name}.${s.namespace}`, s.type, reach(s), ready(s), ...s.addresses, ports(s), s.why, heldText(s)].join(
    ' ',
  )

export function Services({ ask }: { ask: Ask }): JSX.Element {
  const { data, error } = useTopic('services')
  const { data: team } = useTopic('team')
  const own = useTopic('held')
  const { status } = useTopic('connection')
  const [filter, setFilter] = useState('')
  const [sorting, setSorting] = useState<Sorting>({ key: 'namespace', descending: false })
  const [open, setOpen] = useState<string>()
  const close = useCallback(() => setOpen(undefined), [])
  const namespace = status?.namespace ?? ''
  const context = status?.context ?? ''
  const columns = useMemo(() => columnsFor(namespace), [namespace])
  // Once a second the same is told again: rows are made anew only when somebody holds something else.
  const who = JSON.stringify(
    own.map(({ kind, target, namespace, context, version }) => [kind, target, namespace, context, version]),
  )
  const services = useMemo(
    () => data && withHolders(data.services, own, team?.held ?? [], context),
    [data, who, team, context],
  )
  const rows = useMemo(
    () => arrange(services ?? [], columns, sorting, filter, text),
    [services, columns, sorting, filter],
  )
  const reachable = useMemo(() => (services ?? []).filter((s) => s.reachable).length, [services])
  const shown = open === undefined ? undefined : services?.find((one) => idOf(one) === open)
  return (
    <div class="full">
      <div class="bar">
        <Filter label="Filter services" hint="name, namespace, exchanged…" value={filter} onChange={setFilter} />
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
      <div class="split">
        <Table
          label="Services"
          columns={columns}
          rows={rows}
          id={idOf}
          sorting={sorting}
          onSort={setSorting}
          open={open}
          onOpen={(s) => setOpen(idOf(s))}
          empty={services ? (filter ? 'No service matches the filter.' : 'There are no services.') : ''}
        />
        {shown && <ServiceDetail service={shown} namespace={namespace} ask={ask} onClose={close} />}
      </div>
    </div>
  )
}
