// The line's state in words, for people.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineWords } from '../../src/control/line-words.ts'

const age = (ms: number) => `${ms / 1000} s`
const quiet = {
  state: 'open',
  resumptions: 0,
  moves: 0,
  lastGap: null,
  paths: [],
  wantedPaths: 1,
  missingPath: null,
} as const

test('what carries it, how long, and when it ends', () => {
  const paths = [{ way: 'spdy', ageMs: 5_000, endsInMs: null } as const]
  assert.equal(lineWords({ ...quiet, paths }, age), 'a port-forward over SPDY for 5 s')
  const ending = [{ way: 'websocket', ageMs: 5_000, endsInMs: 55_000 } as const]
  assert.equal(
    lineWords({ ...quiet, paths: ending, moves: 2 }, age),
    'a port-forward over a WebSocket for 5 s, which something before the API server ends in 55 s; moved in time to another one 2 times',
  )
})

test('both of two, or why there is only one', () => {
  const [first, second] = [5_000, 4_000].map((ageMs) => ({ way: 'spdy', ageMs, endsInMs: null }) as const)
  const line = { ...quiet, wantedPaths: 2 }
  assert.equal(
    lineWords({ ...line, paths: [first, second] }, age),
    'a port-forward over SPDY for 5 s and a port-forward over SPDY for 4 s',
  )
  assert.equal(
    lineWords({ ...line, paths: [first] }, age),
    'a port-forward over SPDY for 5 s; a second one is being opened',
  )
  assert.equal(
    lineWords({ ...line, paths: [first], missingPath: 'the connection was refused' }, age),
    'a port-forward over SPDY for 5 s; there is no second one: the connection was refused',
  )
  assert.equal(lineWords({ ...line, state: 'interrupted', paths: [] }, age), 'interrupted')
})

test('what happened to it, and the last gap with its cause', () => {
  const line = { ...quiet, state: 'interrupted', resumptions: 1, lastGap: { ms: 1_234, cause: 'a cut' } } as const
  assert.equal(
    lineWords({ ...line, paths: [] }, age),
    'interrupted; went on over a new port-forward once; the last gap was 1.2 s (a cut)',
  )
})

test('an engine of an older kt tells no paths', () => {
  const old = { state: 'open', resumptions: 0, lastGap: null } as unknown as Parameters<typeof lineWords>[0]
  assert.equal(lineWords(old, age), '')
})
