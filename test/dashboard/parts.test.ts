import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Samples } from '../../src/daemon/samples.ts'
import { FlowTable } from '../../src/dashboard/flow-changes.ts'
import type { FlowChanges, FlowRow } from '../../src/dashboard/model.ts'
import { EventParser } from '../../src/dashboard/page/events.ts'
import { heldWords } from '../../src/dashboard/page/held-words.ts'
import { manyFlows } from './double.ts'

const listed = (count: number, round = 0) => ({ flows: manyFlows(count, round), total: count })

test('flows that did not change are not told again, though they grow older', () => {
  const table = new FlowTable()
  assert.equal(table.update(listed(50), 1_000_000)?.changed.length, 50)
  // A second later all ages are a second more; clocks tremble by some ms.
  const aged = manyFlows(50).map((flow) => ({ ...flow, ageMs: flow.ageMs + 1003, idleMs: flow.idleMs + 997 }))
  assert.equal(table.update({ flows: aged, total: 50 }, 1_001_000), undefined)
  const moved = aged.map((flow) => (flow.id === 7 ? { ...flow, bytesIn: flow.bytesIn + 1 } : flow)).slice(0, 49)
  const changes = table.update({ flows: moved, total: 49 }, 1_001_000)
  assert.deepEqual([changes?.changed.map(({ id }) => id), changes?.gone, changes?.total], [[7], [50], 49])
})

test('who applies all changes has the same rows as who comes later and gets all', () => {
  const lists = fc.array(
    fc.uniqueArray(fc.record({ id: fc.nat(9), bytesIn: fc.nat(3), idleMs: fc.nat(5000) }), {
      selector: ({ id }) => id,
    }),
  )
  fc.assert(
    fc.property(lists, (rounds) => {
      const table = new FlowTable()
      const page = new Map<number, FlowRow>()
      const apply = (changes: FlowChanges | undefined, to: Map<number, FlowRow>) => {
        for (const id of changes?.gone ?? []) to.delete(id)
        for (const row of changes?.changed ?? []) to.set(row.id, row)
      }
      const [sample] = manyFlows(1)
      let now = 0
      for (const round of rounds)
        apply(
          table.update({ flows: round.map((flow) => ({ ...sample, ...flow })), total: round.length }, (now += 1000)),
          page,
        )
      const late = new Map<number, FlowRow>()
      apply(table.all(), late)
      const byId = (rows: Map<number, FlowRow>) => [...rows].sort(([a], [b]) => a - b)
      assert.deepEqual(byId(page), byId(late))
    }),
  )
})

test('curves have bytes a second, and a hole where the machine slept or there is no way', () => {
  const samples = new Samples()
  const at = (bytes: number, state: 'connected' | 'reconnecting' = 'connected') => ({
    bytes: { in: bytes, out: 2 * bytes },
    state,
    roundTripMs: 23.4,
  })
  samples.add(at(5000), 1000)
  assert.deepEqual(samples.after(0), [])
  samples.add(at(6000), 3000)
  samples.add(at(6000, 'reconnecting'), 4000)
  samples.add(at(9000), 60_000)
  assert.deepEqual(samples.after(0), [
    { at: 3000, in: 500, out: 1000, roundTripMs: 23.4 },
    { at: 4000, in: 0, out: 0, roundTripMs: null },
    { at: 60_000, in: null, out: null, roundTripMs: null },
  ])
  assert.equal(samples.after(4000).length, 1)
  for (let i = 0; i < 700; i++) samples.add(at(9000), 61_000 + i)
  assert.equal(samples.after(0).length, 600)
})

test('a flow that has ended stays for a minute with the program that was seen before; rates are of the last second', () => {
  const table = new FlowTable()
  const [flow] = manyFlows(1)
  table.update({ flows: [flow], total: 1 }, 1_000)
  const moved = { ...flow, bytesIn: flow.bytesIn + 4000 }
  assert.equal(table.update({ flows: [moved], total: 1 }, 3_000)?.changed[0].rateIn, 2000)
  const closed = { ...moved, process: null, state: 'reset', closedMs: 500 }
  const [row] = table.update({ flows: [], total: 0, closed: [closed] }, 4_000)!.changed
  assert.deepEqual([row.program, row.closed, row.state, row.rateIn], [flow.process!.name, 3_500, 'reset', 0])
  assert.deepEqual(table.update({ flows: [], total: 0 }, 70_000)?.gone, [flow.id])
})

test('events are the same however the stream is cut', () => {
  const block = fc.record({
    topic: fc.stringMatching(/^[a-z]+$/),
    data: fc.string().map((text) => JSON.stringify(text)),
  })
  fc.assert(
    fc.property(fc.array(block), fc.array(fc.nat(400)), (events, cuts) => {
      const text = events.map(({ topic, data }) => `event: ${topic}\ndata: ${data}\n\n: \n\n`).join('')
      const edges = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length]
      const seen: { topic: string; data: string }[] = []
      const parser = new EventParser((topic, data) => seen.push({ topic, data }))
      for (let i = 1; i < edges.length; i++) parser.take(text.slice(edges[i - 1], edges[i]))
      assert.equal(JSON.stringify(seen), JSON.stringify(events))
    }),
  )
})

test('while the connection is lost, the page names the original pods only where there are some', () => {
  const lost = (mode: string) => heldWords({ state: 'reconnecting', mode })
  for (const mode of ['selector', 'auto']) assert.match(lost(mode), /^Requests go to the original pods/, mode)
  for (const mode of ['scale', 'manual', '']) assert.match(lost(mode), /requests are refused$/, mode)
})
