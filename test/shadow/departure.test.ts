import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Departure } from '../../src/shadow/departure.ts'

const STAY = 20_000
const started = () => new Departure<string>(STAY)

test('it ends only when it was told to, and without clients serves until its Job has made another pod', () => {
  const departure = started()
  assert.equal(departure.endsAt(), undefined)
  departure.tell(1_000)
  departure.tell(5_000) // the kubelet may say so twice
  assert.equal(departure.endsAt(), 1_000 + STAY)
  assert.equal(departure.released, false)
})

test('it serves until the last of its clients has released it, and as long again as nodes take to follow', () => {
  const departure = started()
  departure.join('ann')
  departure.join('ben')
  departure.tell(1_000)
  departure.release('ann', 2_000)
  assert.equal(departure.endsAt(), 1_000 + STAY)
  departure.release('ben', 3_000)
  assert.equal(departure.endsAt(), 5_000)
  assert.equal(departure.released, true)
  departure.lose('ben')
  assert.equal(departure.endsAt(), 5_000)
})

test('one that was released before it was told to end does so at once', () => {
  const departure = started()
  departure.join('ann')
  departure.release('ann', 500)
  departure.lose('ann')
  departure.tell(1_000)
  assert.equal(departure.endsAt(), 1_000)
})

test('a client that has left a mesh does not speak for one whose line was cut, nor for one that came later', () => {
  const departure = started()
  departure.join('ann')
  departure.join('ben')
  departure.release('ann', 100)
  departure.lose('ann')
  departure.lose('ben')
  departure.tell(1_000)
  assert.equal(departure.endsAt(), 1_000 + STAY)
  departure.join('eve')
  assert.equal(departure.endsAt(), 1_000 + STAY)
  departure.release('ann', 1_500) // not there any more
  assert.equal(departure.endsAt(), 1_000 + STAY)
})
