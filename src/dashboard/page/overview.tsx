// The first view: what is connected, how it does, and who else is there.
import type { ComponentChildren, JSX } from 'preact'
import { lineWords } from '../../control/line-words.ts'
import type { Status } from '../../control/protocol.ts'
import type { Sample } from '../../control/views.ts'
import { Chart, type Curve } from './chart.tsx'
import type { Ask } from './dialog.tsx'
import { age, bytes, count, milliseconds, rate, time } from './format.ts'
import { Held } from './held.tsx'
import { useTopic } from './store.ts'
import { Team } from './team.tsx'

const throughput: Curve[] = [
  { label: 'Received', colour: 'accent', value: (sample) => sample.in },
  { label: 'Sent', colour: 'second', value: (sample) => sample.out },
]
const roundTrip: Curve[] = [{ label: 'Round trip', colour: 'accent', value: (sample) => sample.roundTripMs }]

export function Overview({ ask }: { ask: Ask }): JSX.Element | null {
  const { status } = useTopic('connection')
  if (!status) return null
  return (
    <div class="overview">
      <Heading status={status} />
      <Held ask={ask} />
      <Strip status={status} />
      <Team ask={ask} />
      <Details status={status} />
    </div>
  )
}

/** The engine's last ten minutes. */
function Strip({ status }: { status: Status }): JSX.Element {
  const samples = useTopic('samples')
  const now: Sample = samples.at(-1) ?? { at: 0, in: null, out: null, roundTripMs: null }
  return (
    <section class="card wide strip" aria-label="The last ten minutes">
      <section aria-labelledby="throughput">
        <p class="figures">
          <span id="throughput" class="hidden">
            Throughput
          </span>
          <Figure name="Received" value={rate(now.in)} mark="accent" />
          <Figure name="Sent" value={rate(now.out)} mark="second" />
        </p>
        <Chart
          samples={samples}
          curves={throughput}
          least={10_000}
          format={(value) => rate(value)}
          summary={`Throughput of the last minutes; now ${rate(now.in)} received, ${rate(now.out)} sent`}
        />
      </section>
      <section aria-labelledby="round-trip">
        <p class="figures">
          <span id="round-trip" class="hidden">
            Round trip
          </span>
          <Figure name="To the shadow and back" value={milliseconds(status.roundTripMs)} mark="accent" />
        </p>
        <Chart
          samples={samples}
          curves={roundTrip}
          least={10}
          format={milliseconds}
          summary={`Round trip of the last minutes; now ${milliseconds(status.roundTripMs)}`}
        />
      </section>
    </section>
  )
}

function Heading({ status }: { status: Status }): JSX.Element {
  return (
    <section class="heading wide" aria-label="Connection">
      <p class="cluster">
        <strong>{status.cluster}</strong> <span class="muted">namespace</span> <strong>{status.namespace}</strong>
      </p>
      <p class="muted">
        {status.state} for {age(Date.now() - Date.parse(status.since))}, since {time(status.since)} ·{' '}
        {count(status.flows.tcp, 'TCP flow')}, {count(status.flows.udp, 'UDP flow')} · {bytes(status.bytes.in)}{' '}
        received, {bytes(status.bytes.out)} sent
        {status.reconnects > 0 && ` · ${count(status.reconnects, 'reconnect')}`}
      </p>
      {(status.faults ?? []).map(({ code, message, hint }) => (
        <p key={code} class="note bad">
          {message}: {hint}
        </p>
      ))}
    </section>
  )
}

function Figure({ name, value, mark }: { name: string; value: string; mark: string }): JSX.Element {
  return (
    <span class="figure">
      <span class={`mark ${mark}`} aria-hidden="true" />
      <span class="muted">{name}</span> <strong>{value}</strong>
    </span>
  )
}

function Details({ status }: { status: Status }): JSX.Element {
  const { shadow, tun, dns } = status
  const rows: [name: string, value: ComponentChildren][] = [
    ['API server', status.server],
    ['Context, user', `${status.context}, ${status.user}`],
    ['Shadow', shadow ? `${shadow.pod} on ${shadow.node} (${shadow.kind}, ${shadow.image})` : 'none yet'],
    ['Line', status.line ? lineWords(status.line, age) : 'none'],
    ['Device', tun ? `${tun.name}, ${tun.addresses.join(', ')}, MTU ${tun.mtu}` : 'none yet'],
    [
      'Ranges',
      status.ranges.map(({ cidr, kind, source, guessed }) => (
        <span key={cidr} class="line">
          {cidr} <span class="muted">{`${kind}, ${guessed ? 'guessed: ' : ''}${source}`}</span>
        </span>
      )),
    ],
    ['Routes', status.routes.join(', ')],
    ['Names', `${dns.mode}, server ${dns.servers.join(', ')}`],
    ['Memory of kt', bytes(status.memoryBytes)],
  ]
  return (
    <details class="card wide">
      <summary>
        <h2>Details{status.notes.length > 0 && <span class="muted"> · {count(status.notes.length, 'note')}</span>}</h2>
      </summary>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {status.notes.map((note) => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
    </details>
  )
}
