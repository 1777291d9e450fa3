// Exchanges, meshes and runs: what of the cluster comes to this machine.
import type { JSX } from 'preact'
import type { Held as HeldReport } from '../../control/protocol.ts'
import { Card } from './card.tsx'
import { age, bytes, count } from './format.ts'

export function Held({ held }: { held: HeldReport[] }): JSX.Element {
  return (
    <Card title="Exchanges, meshes and runs">
      {held.length === 0 && <p class="muted">None: no request of the cluster comes to this machine.</p>}
      <ul class="list">
        {held.map((one) => (
          <li key={`${one.kind} ${one.namespace}/${one.target}`}>
            <span>
              <span class="tag">{one.kind}</span> <strong>{one.target}</strong>{' '}
              <span class="muted">in {one.namespace}</span>
            </span>
            <span class="muted">
              {one.state} for {age(Date.now() - Date.parse(one.since))} · {one.ports.map(portWords).join(', ')} ·{' '}
              {count(one.connections.total, 'connection')}, {bytes(one.bytes.in)} in, {bytes(one.bytes.out)} out
            </span>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function portWords({ local, remote, protocol }: HeldReport['ports'][number]): string {
  return `${remote} → ${local}${protocol === 'UDP' ? '/UDP' : ''}`
}
