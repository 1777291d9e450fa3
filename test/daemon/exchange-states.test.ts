// The states of an exchange as its holder sees them, row by row: each transition that there is stands here, and no other is there.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type EventName,
  type Facts,
  initial,
  next,
  publicState,
  type State,
  type StateName,
} from '../../src/daemon/inbound/states.ts'

const states: StateName[] = [
  ...(['free', 'starting', 'ready', 'held', 'away', 'aside', 'returning'] as const),
  ...(['ending', 'restoring', 'restored', 'removing', 'left'] as const),
]
const events: EventName[] = [
  ...(['start', 'begun', 'claimed', 'switched', 'failed', 'lost', 'noShadow', 'serving', 'ledHere'] as const),
  ...(['leadFailed', 'again', 'takenOver', 'end', 'settled', 'putBack', 'notPutBack', 'quiet'] as const),
  ...(['disconnected', 'removed'] as const),
]

// [facts that decide, where they do] state + event -> state: effects
const rows = `
free + start -> starting: begin
free + end -> ending: settle
free + disconnected -> free: finish
starting + claimed -> ready: switch
starting + failed -> starting: reject
starting + takenOver -> starting: fail
starting + end -> ending: reject settle
ready + switched -> held: announce
ready + switched -> away: announce sayAway
ready + switched -> aside: announce sayAway stepAside
ready + failed -> ready: reject
ready + takenOver -> ready: fail
ready + end -> ending: reject settle
held + lost -> away: sayAway
held + noShadow -> away: sayAway
held + noShadow -> aside: sayAway stepAside
held + takenOver -> held: fail
held + end -> ending: settle
away + noShadow -> aside: stepAside
away + serving -> held: sayBack
away + takenOver -> away: fail
away + end -> ending: settle
aside + serving -> returning: leadHere
aside + takenOver -> aside: fail
aside + end -> ending: settle
returning + ledHere -> held: sayBack
returning + ledHere -> away:
returning + ledHere -> aside: stepAside
returning + leadFailed -> returning: leadHereLater
returning + leadFailed -> aside:
returning + again -> returning: leadHere
returning + again -> aside:
returning + takenOver -> returning: fail
returning + end -> ending: settle
ending + settled -> restoring: restore
ending + settled -> free: release disconnect
ending + settled -> restored: linger
ending + settled -> removing: release disconnect
restoring + putBack -> restored: linger
restoring + putBack -> removing: release disconnect
restoring + notPutBack -> left: disconnect
restored + quiet -> removing: release disconnect
removing + disconnected -> removing: remove
removing + removed -> free: finish
left + disconnected -> left: finish
`
  .trim()
  .split('\n')

function* allFacts(): Iterable<Facts> {
  for (let bits = 0; bits < 64; bits++) {
    const [stepsAside, begun, switched, serving, shadowless, takenOver] = [0, 1, 2, 3, 4, 5].map(
      (bit) => (bits & (1 << bit)) !== 0,
    )
    yield { stepsAside, begun, switched, serving, shadowless, takenOver }
  }
}

function transition(name: StateName, event: EventName, facts: Facts): string | undefined {
  const [state, effects] = next({ ...facts, name }, event)
  if (state.name === name && effects.length === 0) return undefined
  return `${name} + ${event} -> ${state.name}:${effects.map((effect) => ` ${effect}`).join('')}`
}

test('the transitions are these and no others', () => {
  const found = new Set<string>()
  for (const name of states)
    for (const event of events) for (const facts of allFacts()) found.add(transition(name, event, facts) ?? '')
  found.delete('')
  assert.deepEqual([...found].sort(), [...rows].sort())
})

/** Goes through events from the beginning; the states and effects on the way. */
function play(stepsAside: boolean, ...played: EventName[]): string[] {
  let state: State = initial(stepsAside)
  return played.map((event) => {
    const [after, effects] = next(state, event)
    state = after
    return [after.name, ...effects].join(' ')
  })
}
const holding: EventName[] = ['start', 'begun', 'claimed', 'switched']

test('a Service that has no shadow leads to its own pods, of the kinds that step aside', () => {
  assert.deepEqual(play(true, ...holding, 'lost', 'noShadow', 'serving', 'ledHere').slice(-4), [
    'away sayAway',
    'aside stepAside',
    'returning leadHere',
    'held sayBack',
  ])
  assert.deepEqual(play(false, ...holding, 'lost', 'noShadow', 'serving').slice(-3), [
    'away sayAway',
    'away',
    'held sayBack',
  ])
})

test('shadows that are lost while the Service is led to them are seen when it has been', () => {
  assert.deepEqual(play(true, 'start', 'begun', 'claimed', 'lost', 'switched').at(-1), 'away announce sayAway')
  assert.deepEqual(
    play(true, 'start', 'begun', 'claimed', 'lost', 'noShadow', 'switched').at(-1),
    'aside announce sayAway stepAside',
  )
  const returning: EventName[] = [...holding, 'lost', 'noShadow', 'serving']
  assert.equal(play(true, ...returning, 'lost', 'noShadow', 'ledHere').at(-1), 'aside stepAside')
  assert.equal(play(true, ...returning, 'lost', 'ledHere').at(-1), 'away')
  assert.equal(play(true, ...returning, 'lost', 'leadFailed').at(-1), 'aside')
  assert.deepEqual(play(true, ...returning, 'leadFailed', 'again').slice(-2), [
    'returning leadHereLater',
    'returning leadHere',
  ])
})

test('what was never begun is not put back, and what never led here has no connections to wait for', () => {
  assert.equal(play(true, 'start', 'failed', 'end', 'settled').at(-1), 'free release disconnect')
  // It finished beginning when it had been told to end.
  assert.equal(play(true, 'start', 'end', 'begun', 'settled').at(-1), 'restoring restore')
  assert.equal(play(true, 'start', 'begun', 'end', 'settled', 'putBack').at(-1), 'removing release disconnect')
  assert.equal(play(true, ...holding, 'end', 'settled', 'putBack').at(-1), 'restored linger')
})

test('what somebody else has taken over is theirs to put back; it is told once', () => {
  assert.deepEqual(play(true, ...holding, 'takenOver', 'takenOver', 'end', 'settled', 'quiet').slice(-5), [
    'held fail',
    'held',
    'ending settle',
    'restored linger',
    'removing release disconnect',
  ])
  assert.equal(play(true, ...holding, 'end', 'takenOver', 'settled').at(-1), 'restoring restore')
})

test('once it ends nothing but the end goes on', () => {
  const late: EventName[] = [
    'lost',
    'noShadow',
    'serving',
    'switched',
    'claimed',
    'failed',
    'takenOver',
    'again',
    'end',
  ]
  for (const name of ['ending', 'restoring', 'restored', 'removing', 'left'] as const)
    for (const event of late)
      for (const facts of allFacts()) assert.deepEqual(next({ ...facts, name }, event), [{ ...facts, name }, []])
})

test('people are told four states', () => {
  const told = Object.groupBy(states, publicState)
  assert.deepEqual(told.starting, ['free', 'starting', 'ready'])
  assert.deepEqual(told.active, ['held'])
  assert.deepEqual(told.reconnecting, ['away', 'aside', 'returning'])
  assert.deepEqual(told.ending, ['ending', 'restoring', 'restored', 'removing', 'left'])
})
