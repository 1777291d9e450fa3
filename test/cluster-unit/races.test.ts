// Two clients at the same moment, their requests in every order that the seeds bring: one of two exchanges wins, a mesh that
// is joined while its last member leaves goes on, and in the end nothing is left.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc, { type Scheduler } from 'fast-check'
import type { RequestExtras } from '../../src/cluster/api.ts'
import type { ApiPort } from '../../src/cluster/follow.ts'
import type { InboundContext } from '../../src/cluster/inbound/context.ts'
import {
  beginExchange,
  beginMesh,
  removeExchange,
  restoreExchange,
  switchExchange,
} from '../../src/cluster/inbound/kinds.ts'
import { findLeftovers, removeLeftovers } from '../../src/cluster/inbound/recover.ts'
import { renewLease } from '../../src/cluster/inbound/while-held.ts'
import type { InboundHandle } from '../../src/cluster/inbound-calls.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import {
  clientOf,
  contents,
  core,
  exchangeOf,
  jobs,
  leases,
  meshOf,
  NOBODY,
  namespaceWith,
  options,
  silent,
} from './namespace.ts'

const SEED = 20_261_128
const RUNS = 60

/** A client whose requests, and whose waiting, are let through one at a time in the scheduler's order. */
function racing(cluster: MemoryCluster, scheduler: Scheduler) {
  const { ask, send, get, watch } = cluster.client()
  const turn = () => scheduler.schedule(Promise.resolve())
  const api: ApiPort = {
    ask: (method: string, path: string, extras?: RequestExtras) => turn().then(() => ask(method, path, extras)),
    send: <T>(method: string, path: string, extras?: RequestExtras) => turn().then(() => send<T>(method, path, extras)),
    get: <T>(path: string, query?: Record<string, string>) => turn().then(() => get<T>(path, query)),
    watch,
  }
  return clientOf(api, turn)
}

/** Lets others have this many turns first. */
async function ahead({ sleep }: InboundContext, turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await sleep(0)
}

type Through = <T>(all: Promise<T>) => Promise<T>

/** `through` lets requests through until `all` is settled; time passes only when everybody waits for it. */
async function race(t: TestContext, body: (scheduler: Scheduler, through: Through) => Promise<void>): Promise<void> {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const property = fc.asyncProperty(fc.scheduler(), async (scheduler) => {
    await body(scheduler, async (all) => {
      let over = false
      const done = () => {
        over = true
      }
      all.then(done, done)
      while (!over) {
        if (scheduler.count() > 0) await scheduler.waitOne()
        else {
          await new Promise<void>((resolve) => setImmediate(resolve))
          if (!over && scheduler.count() === 0) t.mock.timers.tick(1_000)
        }
      }
      return await all
    })
  })
  await fc.assert(property, { seed: SEED, numRuns: RUNS })
}

const begun = (one: PromiseSettledResult<InboundHandle>) => (one.status === 'fulfilled' ? one.value : undefined)

test('of two who exchange a Service at the same moment one gets it, and the other leaves nothing', async (t) => {
  await race(t, async (scheduler, through) => {
    const cluster = namespaceWith('web')
    const before = contents(cluster)
    const clients = ['ann@laptop/1', 'ben@laptop/1'].map((holder) => ({ holder, here: racing(cluster, scheduler) }))
    const both = Promise.allSettled(
      clients.map(async ({ here, holder }) => {
        const handle = await beginExchange(here, exchangeOf('web', holder), options, silent)
        await switchExchange(here, handle, silent)
        return handle
      }),
    )
    const results = await through(both)
    const winners = results.flatMap((one) => begun(one) ?? [])
    assert.equal(winners.length, 1)
    const lost = results.find((one) => one.status === 'rejected')
    assert.equal(lost?.reason.code, 'held')
    const [{ written, holder }] = winners
    assert.deepEqual(cluster.objects.get(`${core}/services/web`)!['spec'].selector, written)
    const winner = clients.find((one) => one.holder === holder)!.here
    await through(restoreExchange(winner, winners[0], silent).then(() => removeExchange(winner, winners[0])))
    assert.deepEqual(contents(cluster), before)
  })
})

test('a take-over at any moment of an exchange succeeds, the first hears of it, and the end is as the beginning', async (t) => {
  await race(t, async (scheduler, through) => {
    const cluster = namespaceWith('web')
    const before = contents(cluster)
    const ann = racing(cluster, scheduler)
    const ben = racing(cluster, scheduler)
    const first = async () => {
      const handle = await beginExchange(ann, exchangeOf('web', 'ann@laptop/1'), options, silent)
      const takenOver = async () => {
        for (;;) await renewLease(ann, handle)
      }
      const held = switchExchange(ann, handle, silent).then(() => new Promise<never>(() => {}))
      held.catch(() => {})
      try {
        await Promise.race([held, takenOver()])
      } finally {
        await removeExchange(ann, handle)
      }
    }
    const second = async () => {
      const handle = await beginExchange(ben, exchangeOf('web', 'ben@laptop/1', { force: true }), options, silent)
      await switchExchange(ben, handle, silent)
      return handle
    }
    const [one, other] = await through(Promise.allSettled([first(), second()]))
    assert.equal(other.status, 'fulfilled', String((other as PromiseRejectedResult).reason?.stack))
    // Ann may have come second, and then it is as if ben were alone; or hears that ben has it, or that her shadow is gone.
    const { code } = (one as PromiseRejectedResult).reason
    assert.match(code, /^(held|taken-over|gone)$/)
    const { value: handle } = other as PromiseFulfilledResult<InboundHandle>
    assert.deepEqual(cluster.objects.get(`${core}/services/web`)!['spec'].selector, handle.written)
    await through(restoreExchange(ben, handle, silent).then(() => removeExchange(ben, handle)))
    assert.deepEqual(contents(cluster), before)
  })
})

for (const headStart of [0, 3, 6, 9])
  test(`a mesh that is joined while its last member leaves, ${headStart} requests later, goes on for whoever joined`, async (t) => {
    await race(t, async (scheduler, through) => {
      const cluster = namespaceWith('web')
      const before = contents(cluster)
      const alone = clientOf(cluster.client())
      const first = await beginMesh(alone, meshOf('web', 'ann'), options, silent)
      await switchExchange(alone, first, silent)
      const ann = racing(cluster, scheduler)
      const ben = racing(cluster, scheduler)
      // Without putting back first: leaving does that too, in fewer requests, so that more of the orders meet in it.
      const leaving = ahead(ann, headStart).then(() => removeExchange(ann, first))
      const joining = beginMesh(ben, meshOf('web', 'ben'), options, silent).then(async (handle) => {
        await switchExchange(ben, handle, silent)
        return handle
      })
      const [, second] = await through(Promise.all([leaving, joining]))
      const { written, original, shadow } = second
      assert.deepEqual(cluster.objects.get(`${core}/services/web`)!['spec'].selector, written)
      assert.deepEqual(cluster.objects.get(`${core}/services/${original!.name}`)?.['spec'].selector, { app: 'web' })
      assert.equal(cluster.objects.get(`${jobs}/${shadow.job}`)?.metadata.uid, shadow.jobUid)
      assert.equal(cluster.list(leases).length, 1)
      assert.equal(cluster.list(jobs).length, 1)
      await through(restoreExchange(ben, second, silent).then(() => removeExchange(ben, second)))
      assert.deepEqual(contents(cluster), before)
    })
  })

test('two who leave a mesh in any order of their requests leave nothing', async (t) => {
  await race(t, async (scheduler, through) => {
    const cluster = namespaceWith('web')
    const before = contents(cluster)
    const alone = clientOf(cluster.client())
    const handles = []
    for (const name of ['ann', 'ben']) handles.push(await beginMesh(alone, meshOf('web', name), options, silent))
    await switchExchange(alone, handles[0], silent)
    const leaving = handles.map(async (handle) => {
      const here = racing(cluster, scheduler)
      await restoreExchange(here, handle, silent)
      await removeExchange(here, handle)
    })
    await through(Promise.all(leaving))
    assert.deepEqual(contents(cluster), before)
  })
})

test('clean beside a holder that wakes up: either it is put back or it goes on, and never half of it', async (t) => {
  await race(t, async (scheduler, through) => {
    const cluster = namespaceWith('web')
    const before = contents(cluster)
    const alone = clientOf(cluster.client())
    const handle = await beginExchange(alone, exchangeOf('web', 'ann@laptop/1'), options, silent)
    await switchExchange(alone, handle, silent)
    const leftovers = await findLeftovers(alone, NOBODY, silent)
    assert.equal(leftovers.length, 1)
    const ann = racing(cluster, scheduler)
    const eve = racing(cluster, scheduler)
    const [woken] = await through(
      Promise.allSettled([renewLease(ann, handle), removeLeftovers(eve, leftovers, 'eve@desk/3', silent)]),
    )
    if (woken.status === 'fulfilled' && cluster.list(leases).length > 0) {
      assert.deepEqual(cluster.objects.get(`${core}/services/web`)!['spec'].selector, handle.written)
      assert.ok(cluster.objects.has(`${core}/services/${handle.original!.name}`))
      assert.ok(cluster.objects.has(`${jobs}/${handle.shadow.job}`))
    } else assert.deepEqual(contents(cluster), before)
  })
})

test('whoever read of a mesh that has ended since begins one of its own, not the one that is being removed', async () => {
  const cluster = namespaceWith('web')
  const alone = clientOf(cluster.client())
  const first = await beginMesh(alone, meshOf('web', 'ann'), options, silent)
  await switchExchange(alone, first, silent)
  const removing = Promise.withResolvers<void>()
  const joined = Promise.withResolvers<unknown>()
  const slow = cluster.client()
  const ann = clientOf({
    ...slow,
    // What is last removed waits until somebody else has joined.
    ask: async (method, path, extras) => {
      if (method === 'DELETE' && path.startsWith(jobs)) {
        removing.resolve()
        await joined.promise
      }
      return slow.ask(method, path, extras)
    },
  })
  const late = cluster.client()
  const ben = clientOf({
    ...late,
    // The Service has been read, and the lease is not taken yet.
    ask: async (method, path, extras) => {
      if (method === 'POST' && path === leases) await removing.promise
      return late.ask(method, path, extras)
    },
  })
  const leaving = removeExchange(ann, first)
  const joining = beginMesh(ben, meshOf('web', 'ben'), options, silent)
  joining.then(joined.resolve, joined.reject)
  const [second] = await Promise.all([joining, leaving])
  assert.notEqual(second.id, first.id)
  assert.ok(cluster.objects.has(`${core}/services/${second.original!.name}`))
  assert.ok(cluster.objects.has(`${jobs}/${second.shadow.job}`))
})
