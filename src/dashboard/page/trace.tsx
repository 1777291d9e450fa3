// The way of one question: what was decided, who was asked, and what came of it.
import type { JSX } from 'preact'
import type { DnsTrace } from '../../control/views.ts'
import { milliseconds } from './format.ts'

const localWords = {
  never: 'this machine’s resolvers are not asked',
  only: 'this machine’s resolvers only',
  after: 'then this machine’s resolvers',
}

export function Trace({ trace, onClose }: { trace: DnsTrace; onClose(): void }): JSX.Element {
  return (
    <section class="card trace" aria-labelledby="trace">
      <div class="bar">
        <h2 id="trace">
          <code>{trace.name}</code> {trace.type}:{' '}
          <span class={trace.rcode === 'NOERROR' ? 'good' : 'bad'}>{trace.rcode}</span>{' '}
          <span class="muted">in {milliseconds(trace.ms)}</span>
        </h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      <ol>
        {trace.resolved !== null && <li>systemd-resolved: {trace.resolved}</li>}
        <li>{cacheWords(trace.cache)}</li>
        {trace.decisions.map(({ rule, cluster, local, unknown }, i) => (
          <li key={i}>
            Rule <strong>{rule}</strong>:{' '}
            {cluster.length > 0 && (
              <>
                the cluster is asked for <code>{cluster.join(', ')}</code>;{' '}
              </>
            )}
            {localWords[local]}
            {unknown.length > 0 && `; first to learn: ${unknown.join(', ')}`}
          </li>
        ))}
        {trace.tries.map(({ name, upstream, rcode, ms, probe }, i) => (
          <li key={i}>
            Asked {upstream} for <code>{name}</code>: <strong>{rcode}</strong> in {milliseconds(ms)}
            {probe && ' (only to learn whether it exists)'}
          </li>
        ))}
        {trace.records.map(({ name, type, ttl, data }) => (
          <li key={`${name} ${type} ${data}`}>
            <code>
              {name} {type} {data}
            </code>{' '}
            <span class="muted">for {ttl} s</span>
          </li>
        ))}
      </ol>
    </section>
  )
}

function cacheWords({ state, rcode, ageS, leftS }: DnsTrace['cache']): string {
  if (state === 'none') return 'The cache has no answer.'
  const kept = `an answer (${rcode}, ${Math.round(ageS ?? 0)} s old)`
  return state === 'fresh'
    ? `The cache has ${kept} that holds for ${Math.round(leftS ?? 0)} s more; asked anew here.`
    : `The cache has ${kept} that is over; it serves while nobody answers.`
}
