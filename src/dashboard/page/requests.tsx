// The requests that come to this machine, as they end.
import type { JSX } from 'preact'
import { useCallback, useMemo, useState } from 'preact/hooks'
import { visible, visibleLines } from '../../base/visible.ts'
import type { SeenBody } from '../../control/views.ts'
import type { RequestRow } from '../model.ts'
import { act } from './act.ts'
import { Detail, Facts } from './detail.tsx'
import { Filter } from './filter.tsx'
import { bytes, clock, count, milliseconds } from './format.ts'
import { arrange } from './rows.ts'
import { useTopic } from './store.ts'
import { type Column, type Sorting, Table } from './table.tsx'

const who = ({ pod, caller }: RequestRow) => (pod ? pod.name : caller)

/** As people say it: gRPC has a status of its own. */
export function statusOf({ status, grpcStatus, outcome }: RequestRow): { text: string; kind: 'good' | 'warn' | 'bad' } {
  if (status === null) return { text: outcome === 'cancelled' ? 'cancelled' : 'no answer', kind: 'bad' }
  const text = `${status}${grpcStatus === null ? '' : ` gRPC ${grpcStatus}`}${outcome === 'cut' ? ' cut off' : ''}`
  const failed = status >= 500 || (grpcStatus ?? 0) > 0 || outcome === 'cut' || outcome === 'cancelled'
  return { text, kind: failed ? 'bad' : status >= 400 ? 'warn' : 'good' }
}

const columns: Column<RequestRow>[] = [
  { key: 'at', title: 'Time', width: '98px', cell: (r) => clock(r.at), order: (r) => Date.parse(r.at) + r.ms },
  {
    key: 'caller',
    title: 'From',
    width: '26%',
    cell: (r) => visible(who(r)),
    order: who,
  },
  {
    key: 'path',
    title: 'Request',
    width: '44%',
    cell: (r) => (
      <code>
        <strong>{visible(r.method)}</strong> {visible(r.path)}
      </code>
    ),
    order: (r) => `${r.path} ${r.method}`,
  },
  {
    key: 'status',
    title: 'Status',
    width: '112px',
    cell: (r) => {
      const { text, kind } = statusOf(r)
      return <span class={kind}>{text}</span>
    },
    order: (r) => statusOf(r).text,
  },
  { key: 'ms', title: 'Took', width: '84px', numeric: true, cell: (r) => milliseconds(r.ms), order: (r) => r.ms },
  {
    key: 'size',
    title: 'Size',
    width: '84px',
    numeric: true,
    cell: (r) => bytes(r.bytesOut),
    order: (r) => r.bytesOut,
  },
  { key: 'target', title: 'To', width: '18%', cell: (r) => r.target, order: (r) => r.target },
]
const text = (r: RequestRow) =>
  `${who(r)} ${r.pod?.namespace ?? ''} ${r.caller} ${r.method} ${r.path} ${r.host} ${statusOf(r).text} ${r.protocol} ${r.target}.${r.namespace}`

export function Requests(): JSX.Element {
  const { rows: all, unread, notes, bodies } = useTopic('requests')
  const held = useTopic('held')
  const [filter, setFilter] = useState('')
  const [sorting, setSorting] = useState<Sorting>({ key: 'at', descending: true })
  const [open, setOpen] = useState<RequestRow>()
  const close = useCallback(() => setOpen(undefined), [])
  const rows = useMemo(() => arrange(all, columns, sorting, filter, text), [all, sorting, filter])
  return (
    <div class="full">
      <div class="bar">
        <Filter label="Filter requests" hint="path, status, caller, Service…" value={filter} onChange={setFilter} />
        <p role="status" class="muted">
          {filter ? `${rows.length} of ` : ''}the last {count(all.length, 'request')}
          {unread > 0 && `; ${count(unread, 'open connection')} not read: older than this page, or no HTTP`}
        </p>
        <label class="check" title="The beginnings of bodies, which may hold secrets that kt does not recognize">
          <input
            type="checkbox"
            checked={bodies}
            onChange={(event) => void act('bodies', { on: event.currentTarget.checked })}
          />
          Show bodies
        </label>
      </div>
      {notes.map((note) => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
      <div class="split">
        <Table
          label="Requests"
          columns={columns}
          rows={rows}
          id={(r) => r.key}
          sorting={sorting}
          onSort={setSorting}
          open={open?.key}
          onOpen={(r) => setOpen(r)}
          empty={
            filter
              ? 'No request matches the filter.'
              : held.length === 0
                ? 'Nothing of the cluster comes to this machine: exchange a Service first.'
                : 'No request has come since this page looks.'
          }
        />
        {open && <RequestDetail request={open} onClose={close} />}
      </div>
    </div>
  )
}

function RequestDetail({ request, onClose }: { request: RequestRow; onClose(): void }): JSX.Element {
  const { method, path, host, protocol, pod, caller, at, ms, remote, local, bytesIn, bytesOut, outcome } = request
  const { text, kind } = statusOf(request)
  const { requestBody, responseBody } = request
  const read = requestBody !== undefined || responseBody !== undefined || bytesIn + bytesOut === 0
  return (
    <Detail
      title={
        <>
          <code>
            {visible(method)} {visible(path)}
          </code>{' '}
          <span class={kind}>{text}</span>
        </>
      }
      onClose={onClose}
    >
      <Facts
        rows={[
          ['From', visible(pod ? `${pod.name} in ${pod.namespace} (${caller})` : caller)],
          ['To', `${request.target} in ${request.namespace}, port ${remote} → localhost:${local}`],
          ['Host', visible(host)],
          ['Protocol', protocol],
          ['When', `${clock(at)}, took ${milliseconds(ms)}`],
          [
            'Bodies',
            `${bytes(bytesIn)} asked, ${bytes(bytesOut)} answered${read ? '' : '; their content is not read'}`,
          ],
          ['Outcome', outcome === 'answered' ? '' : outcome],
        ]}
      />
      <Headers title="Request headers" of={request.requestHeaders} />
      <Body title="Request body" of={requestBody} bytes={bytesIn} />
      <Headers title="Answer headers" of={request.responseHeaders} />
      <Body title="Answer body" of={responseBody} bytes={bytesOut} />
    </Detail>
  )
}

function Headers({ title, of }: { title: string; of: RequestRow['requestHeaders'] }): JSX.Element | null {
  if (of.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <ul class="headers">
        {of.map(([name, value], i) => (
          <li key={i}>
            <code>
              <span class="muted">{visible(name)}:</span>{' '}
              <span class={value === '(hidden)' ? 'muted' : undefined}>{visible(value)}</span>
            </code>
          </li>
        ))}
      </ul>
    </>
  )
}

/** The beginning of a body, where bodies were asked for. */
function Body({ title, of, bytes: whole }: { title: string; of?: SeenBody; bytes: number }): JSX.Element | null {
  if (!of) return null
  return (
    <>
      <h3>{title}</h3>
      {of.text === null ? (
        <p class="muted">Not shown: {of.why}</p>
      ) : (
        <pre class="body">{visibleLines(of.text.replaceAll('\r\n', '\n'))}</pre>
      )}
      {of.cut && <p class="muted">Only its beginning is shown: it has {bytes(whole)}.</p>}
    </>
  )
}
