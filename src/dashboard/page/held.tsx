// Exchanges, meshes and runs: what of the cluster comes to this machine, and to whose of the team.
import type { JSX } from 'preact'
import type { Held as HeldReport, Team } from '../../control/protocol.ts'
import { act } from './act.ts'
import { Card } from './card.tsx'
import type { Ask, Question } from './dialog.tsx'
import { age, bytes, count, time } from './format.ts'
import { useTopic } from './store.ts'

type TeamHeld = Team['held'][number]

export function Held({ ask }: { ask: Ask }): JSX.Element {
  const own = useTopic('held')
  const { data } = useTopic('team')
  const others = (data?.held ?? []).filter((lease) => !own.some((held) => isSame(lease, held)))
  return (
    <Card title="Exchanges, meshes and runs">
      {own.length + others.length === 0 && <p class="muted">None: every service leads where the cluster put it.</p>}
      <ul class="list">
        {own.map((held) => (
          <Own key={`${held.kind} ${held.namespace}/${held.target}`} held={held} ask={ask} />
        ))}
        {others.map((lease) => (
          <Other key={`${lease.kind} ${lease.namespace}/${lease.target} ${lease.holder}`} lease={lease} ask={ask} />
        ))}
      </ul>
    </Card>
  )
}

function Own({ held, ask }: { held: HeldReport; ask: Ask }): JSX.Element {
  const { kind, target, namespace, state, since, ports, connections } = held
  return (
    <li>
      <span class="what">
        <span class="tag">{kind}</span> <strong>{target}</strong> <span class="muted">in {namespace}</span>
        <span class="muted line">
          this machine · {state} for {age(Date.now() - Date.parse(since))} · {ports.map(portWords).join(', ')}
          {held.version !== null && ` · version ${held.version}`} · {count(connections.total, 'connection')},{' '}
          {connections.open} open, {bytes(held.bytes.in)} in, {bytes(held.bytes.out)} out
        </span>
        {held.notes.map((note) => (
          <span key={note} class="note line">
            {note}
          </span>
        ))}
      </span>
      <button type="button" aria-label={`Leave ${target}`} onClick={() => ask(leaveQuestion(held))}>
        Leave
      </button>
    </li>
  )
}

function Other({ lease, ask }: { lease: TeamHeld; ask: Ask }): JSX.Element {
  const { kind, target, namespace, holder, since, alive } = lease
  return (
    <li>
      <span class="what">
        <span class="tag">{kind}</span> <strong>{target}</strong> <span class="muted">in {namespace}</span>
        <span class="line">
          <span class={`dot ${alive === null ? 'idle' : alive ? 'good' : 'bad'}`} aria-hidden="true" /> {holder}{' '}
          <span class="muted">
            since {time(since)}
            {alive === false && ' · does not renew its lease: it was killed, or cut off'}
            {alive === null && ' · watching whether it is alive'}
          </span>
        </span>
      </span>
      {alive === false && (
        <button type="button" aria-label={`Recover ${target}`} onClick={() => ask(recoverQuestion(lease))}>
          Recover
        </button>
      )}
    </li>
  )
}

function leaveQuestion({ kind, target, namespace }: HeldReport): Question {
  return {
    title: `Leave ${target}?`,
    text: `The ${kind} of ${target} in ${namespace} ends: its requests go where they went before, and open connections may end.`,
    confirm: 'Leave',
    run: async () => {
      const outcome = await act('leave', { kind, target, namespace })
      if (!outcome.ok) return `${outcome.message}; ${outcome.hint}`
      return outcome.result.notes.length > 0 ? outcome.result.notes.join('; ') : undefined
    },
  }
}

function recoverQuestion({ target, namespace, holder }: TeamHeld): Question {
  return {
    title: `Recover ${target}?`,
    text: `${holder} does not answer for ${target} in ${namespace} any more. This puts back what was changed, after watching for 12 seconds that its holder is not alive after all.`,
    confirm: 'Recover',
    run: async () => {
      const outcome = await act('recover', { target, namespace })
      return outcome.ok ? undefined : `${outcome.message}; ${outcome.hint}`
    },
  }
}

/** Our own lease: a target in a namespace is held once, but for meshes, which our own process tells more of. */
function isSame(lease: TeamHeld, held: HeldReport): boolean {
  return (
    lease.kind === held.kind && lease.namespace === held.namespace && lease.target.split('/').at(-1) === held.target
  )
}

function portWords({ local, remote, protocol }: HeldReport['ports'][number]): string {
  return `${remote} → ${local}${protocol === 'UDP' ? '/UDP' : ''}`
}
