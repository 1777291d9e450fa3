// Who else is here: people with what they hold, and whether they are alive.
import type { JSX } from 'preact'
import type { Held, Team as TeamReport } from '../../control/protocol.ts'
import { act } from './act.ts'
import { Card } from './card.tsx'
import type { Ask, Question } from './dialog.tsx'
import { count, time } from './format.ts'
import { useTopic } from './store.ts'

type Lease = TeamReport['held'][number]
type Connected = TeamReport['connected'][number]

interface Person {
  name: string
  connected: Connected[]
  held: Lease[]
}

/** By owner; this machine's first. What it holds itself is told elsewhere, and more of it. */
export function peopleOf({ connected, held }: TeamReport, own: readonly Held[]): Person[] {
  const people = new Map<string, Person>()
  const person = (name: string) => {
    const found = people.get(name) ?? { name, connected: [], held: [] }
    people.set(name, found)
    return found
  }
  for (const one of connected) person(one.owner || 'unknown').connected.push(one)
  for (const lease of held) if (!own.some((one) => isSame(lease, one))) person(lease.holder).held.push(lease)
  const isOwn = (one: Person) => one.connected.some((connection) => connection.own)
  return [...people.values()].sort((a, b) => Number(isOwn(b)) - Number(isOwn(a)) || a.name.localeCompare(b.name))
}

export function Team({ ask }: { ask: Ask }): JSX.Element {
  const { data, error } = useTopic('team')
  const own = useTopic('held')
  const people = data ? peopleOf(data, own) : []
  return (
    <Card title="People" wide>
      {error && <p class="bad">{error}</p>}
      {data && people.length === 0 && <p class="muted">Nobody that can be seen with your rights.</p>}
      <ul class="list people">
        {people.map((person) => (
          <PersonItem key={person.name} person={person} ask={ask} />
        ))}
      </ul>
    </Card>
  )
}

function PersonItem({ person, ask }: { person: Person; ask: Ask }): JSX.Element {
  const { name, connected, held } = person
  const alive = connected.length > 0 || held.some((lease) => lease.alive === true)
  const dead = !alive && held.length > 0 && held.every((lease) => lease.alive === false)
  return (
    <li>
      <span class="what">
        <span class="headline">
          <span class={`dot ${alive ? 'good' : dead ? 'bad' : 'idle'}`} aria-hidden="true" />
          <strong>{name}</strong>
          {connected.some((one) => one.own) && <span class="tag">this machine</span>}
        </span>
        <span class="muted line">{connectedWords(connected)}</span>
        {held.map((lease) => (
          <LeaseLine key={`${lease.kind} ${lease.namespace}/${lease.target} ${lease.since}`} lease={lease} ask={ask} />
        ))}
      </span>
    </li>
  )
}

function connectedWords(connected: Connected[]): string {
  if (connected.length === 0) return 'not connected with kt up'
  const where = [...new Set(connected.map(({ namespace }) => namespace))].join(', ')
  const many = connected.length > 1 ? `${count(connected.length, 'shadow')}, ` : ''
  return `connected: ${many}in ${where} since ${time(connected[0].since)}`
}

function LeaseLine({ lease, ask }: { lease: Lease; ask: Ask }): JSX.Element {
  const { kind, target, namespace, since, alive } = lease
  return (
    <span class="line lease">
      <span class="tag">{kind}</span> <strong>{target}</strong>{' '}
      <span class="muted">
        in {namespace} since {time(since)}
      </span>{' '}
      {alive === false && <span class="bad">does not renew its lease: it was killed, or cut off</span>}
      {alive === null && <span class="muted">watching whether it is alive</span>}
      {alive === false && (
        <button
          type="button"
          class="small"
          aria-label={`Recover ${target}`}
          onClick={() => ask(recoverQuestion(lease))}
        >
          Recover
        </button>
      )}
    </span>
  )
}

function recoverQuestion({ target, namespace, holder }: Lease): Question {
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
function isSame(lease: Lease, held: Held): boolean {
  return (
    lease.kind === held.kind && lease.namespace === held.namespace && lease.target.split('/').at(-1) === held.target
  )
}
