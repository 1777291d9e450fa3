// `kt clean` finds the shadow of a kt that was killed, by what its agent says of sessions; never one that has a client.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findLeftovers, removeLeftovers } from '../../src/cluster/inbound/recover.ts'
import { createShadow } from '../../src/cluster/shadow.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { clientOf, core, jobs, namespaceWith, options, silent } from './namespace.ts'

const ANN = { owner: 'ann@laptop', except: [] }
const started = '2026 agent 0.1.0 on Node 24 listens on port 2222\n'
const opened = `${started}2026 session opened, 1 now\n`
const vanished = `${opened}2026 session absent, 0 now\n`
const closed = `${opened}2026 session closed, 0 now\n`

/** A client in whose namespace a shadow of `owner` runs, with that log; `later` is its log from the first wait on. */
async function withShadow(owner: string, log: string, later = log) {
  const cluster: MemoryCluster = namespaceWith()
  const here = clientOf(cluster.client())
  const { job } = await createShadow(here, { ...options, owner }, silent)
  const path = `${core}/pods/${job}-x/log`
  const say = (text: string) => cluster.objects.set(path, text as never)
  say(log)
  return { cluster, job, say, eve: clientOf(cluster.client(), () => say(later)) }
}

test('a shadow without a client, or that never had one, is found and removed', async () => {
  for (const log of [closed, started, vanished]) {
    const { cluster, job, eve } = await withShadow('ann@laptop', log)
    const [leftover, ...more] = await findLeftovers(eve, ANN, silent)
    assert.deepEqual(more, [])
    assert.equal(leftover.kind, 'shadow')
    assert.deepEqual(leftover.actions, [`delete Job ${job}`])
    assert.ok(cluster.objects.has(`${jobs}/${job}`), 'looking changes nothing')
    assert.deepEqual(
      (await removeLeftovers(eve, [leftover], 'ann@laptop', silent)).map(({ removed }) => removed),
      [[`Job ${job}`]],
    )
    assert.ok(!cluster.objects.has(`${jobs}/${job}`))
  }
})

test('one that has a client, had one in between, is somebody else’s, or is used here, is left alone', async () => {
  const cases = [
    await withShadow('ann@laptop', opened),
    await withShadow('ann@laptop', `${vanished}2026 session back, 1 now\n`),
    await withShadow('ann@laptop', closed, `${closed}2026 session opened, 1 now\n`),
    await withShadow('ann@laptop', closed, `${closed}2027 session opened, 1 now\n2027 session closed, 0 now\n`),
    await withShadow('ben@laptop', closed),
    await withShadow('ann@laptop', 'what an sshd says\n'),
  ]
  for (const { eve } of cases) assert.deepEqual(await findLeftovers(eve, ANN, silent), [])
  const { eve, job } = await withShadow('ann@laptop', closed)
  assert.deepEqual(await findLeftovers(eve, { ...ANN, except: [job] }, silent), [])
})

test('one to which a client came after it was found is not removed', async () => {
  const { cluster, job, say, eve } = await withShadow('ann@laptop', closed)
  const found = await findLeftovers(eve, ANN, silent)
  assert.equal(found.length, 1)
  say(`${closed}2027 session opened, 1 now\n`)
  assert.deepEqual(await removeLeftovers(eve, found, 'ann@laptop', silent), [])
  assert.ok(cluster.objects.has(`${jobs}/${job}`))
})
