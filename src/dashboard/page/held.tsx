// What of the cluster comes to this machine, and whether it works.
import type { JSX } from 'preact'
import type { Held as HeldReport } from '../../control/protocol.ts'
import type { Forwarded, RequestRow } from '../model.ts'
import { act } from './act.ts'
import { Card } from './card.tsx'
import type { Ask, Question } from './dialog.tsx'
import { age, bytes, count } from './format.ts'
import { heldWords } from './held-words.ts'
import { statusOf } from './requests.tsx'
import { useTopic } from './store.ts'

const MINUTE_MS = 60_000
const words = { exchange: 'All requests', mesh: 'Requests', run: 'All requests' }

export function Held({ ask }: { ask: Ask }): JSX.Element {
  const held = useTopic('held')
  const forwards = useTopic('forwards')
  const { rows } = useTopic('requests')
  return (
    <Card title="Comes to you" wide>
      {held.length + forwards.length === 0 && (
        <p class="muted">
          Nothing: every Service leads where the cluster put it. Open one of <a href="#services">the services</a> to
          bring its requests to this machine, or type <code>kt exchange</code>.
        </p>
      )}
      <ul class="list">
        {held.map((one) => (
          <Own key={`${one.kind} ${one.namespace}/${one.target} ${one.version}`} held={one} requests={rows} ask={ask} />
        ))}
        {forwards.map((one) => (
          <Forward key={one.local} forwarded={one} ask={ask} />
        ))}
      </ul>
    </Card>
  )
}

function Own({ held, requests, ask }: { held: HeldReport; requests: RequestRow[]; ask: Ask }): JSX.Element {
  const { kind, target, namespace, state, since, ports, connections, version, faults, notes } = held
  const works = state === 'active' && faults.length === 0
  const recent = requests.filter(
    (one) => one.target === target && one.namespace === namespace && Date.now() - Date.parse(one.at) < MINUTE_MS,
  )
  const failed = recent.filter((one) => statusOf(one).kind === 'bad').length
  return (
    <li>
      <span class="what">
        <span class="headline">
          <span class={`dot ${works ? 'good' : 'warn'}`} aria-hidden="true" />
          <span class="tag">{kind}</span> <strong>{target}</strong> <span class="muted">in {namespace}</span>
        </span>
        <span class="line">
          {works ? `${words[kind]}${version ? ` with ${version}` : ''} come here` : heldWords(held)}:{' '}
          {ports.map((port) => portWords(port, held.shell)).join(', ')}
        </span>
        <span class="muted line">
          {recent.length > 0 ? (
            <>
              <a href="#requests">{count(recent.length, 'request')} in the last minute</a>
              {failed > 0 && <span class="bad">, {failed} failed</span>} ·{' '}
            </>
          ) : (
            ''
          )}
          {state} for {age(Date.now() - Date.parse(since))} · {count(connections.total, 'connection')},{' '}
          {connections.open} open
          {connections.refused > 0 && <span class="bad">, {connections.refused} not taken by your program</span>} ·{' '}
          {bytes(held.bytes.in)} in, {bytes(held.bytes.out)} out
        </span>
        {faults.map(({ code, message, hint }) => (
          <span key={code} class="note bad line">
            {message}: {hint}
          </span>
        ))}
        {notes.length > 0 && (
          <details>
            <summary class="muted">{count(notes.length, 'note')}</summary>
            {notes.map((note) => (
              <span key={note} class="note line">
                {note}
              </span>
            ))}
          </details>
        )}
      </span>
      <button type="button" aria-label={`Leave ${target}`} onClick={() => ask(leaveQuestion(held))}>
        Leave
      </button>
    </li>
  )
}

function Forward({ forwarded, ask }: { forwarded: Forwarded; ask: Ask }): JSX.Element {
  const { target, namespace, local, remote, trouble } = forwarded
  return (
    <li>
      <span class="what">
        <span class="headline">
          <span class={`dot ${trouble ? 'warn' : 'good'}`} aria-hidden="true" />
          <span class="tag">forward</span> <strong>{target}</strong> <span class="muted">in {namespace}</span>
        </span>
        <span class="line">
          localhost:{local} leads to port {remote}; ends with this dashboard
        </span>
        {trouble && <span class="note line">{trouble}</span>}
      </span>
      <button type="button" aria-label={`Stop the forward of ${target}`} onClick={() => ask(stopQuestion(forwarded))}>
        Stop
      </button>
    </li>
  )
}

/** Asks whether to end it. */
export function leaveQuestion({ kind, target, namespace }: HeldReport): Question {
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

function stopQuestion({ target, local }: Forwarded): Question {
  return {
    title: `Stop the forward of ${target}?`,
    text: `localhost:${local} leads nowhere any more, and open connections through it end.`,
    confirm: 'Stop',
    run: async () => {
      const outcome = await act('unforward', { local })
      return outcome.ok ? undefined : `${outcome.message}; ${outcome.hint}`
    },
  }
}

function portWords({ local, remote, protocol }: HeldReport['ports'][number], shell: string | null): string {
  const place = shell ? `port ${local} inside of ${shell}` : `localhost:${local}`
  return `port ${remote}${protocol === 'UDP' ? '/UDP' : ''} → ${place}`
}
