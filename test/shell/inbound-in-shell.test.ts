// What happens in which order when an exchange's program runs in a shell.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ToldError } from '../../src/base/told-error.ts'
import type { ClusterClient } from '../../src/cluster/calls.ts'
import type { HolderDeps } from '../../src/daemon/inbound/holding.ts'
import { InboundInShell, sharedDeps } from '../../src/daemon/shell/inbound-in-shell.ts'

function start(more: { make?: () => Promise<void>; connect?: () => Promise<void> } = {}) {
  const did: string[] = []
  const gone = Promise.withResolvers<void>()
  const exchange = Promise.withResolvers<string>()
  const left = Promise.withResolvers<string[]>()
  const does = (what: string) => async () => void did.push(what)
  const holding = new InboundInShell({
    exchange: {
      start: () => {
        did.push('exchange')
        return exchange.promise
      },
      close: () => {
        did.push('leave')
        return left.promise
      },
      hurry: () => void did.push('hurry'),
      status: () => undefined,
    },
    shell: {
      make: more.make ?? does('make'),
      connect: more.connect ?? does('connect'),
      go: () => void did.push('go'),
      close: async () => {
        did.push('close')
        return ['a shadow']
      },
    },
    launcher: { gone: gone.promise },
  })
  return { holding, did, gone, exchange, left }
}

test('the program begins when its network works and the Service leads here', async () => {
  const { holding, did, exchange } = start()
  const started = holding.start()
  await new Promise(setImmediate)
  assert.deepEqual(did, ['make', 'exchange', 'connect'])
  exchange.resolve('requests come here')
  assert.equal(await started, 'requests come here')
  assert.deepEqual(did.slice(3), ['go'])
})

test('where there can be no namespace nothing is begun in the cluster, and it is said what to do instead', async () => {
  const none = new ToldError('no-namespace', '/dev/net/tun is missing', '`sudo modprobe tun` makes it')
  const { holding, did } = start({ make: () => Promise.reject(none) })
  await assert.rejects(holding.start(), {
    code: 'no-namespace',
    message: '--shell: /dev/net/tun is missing',
    hint: "leave --shell out: your program then has this machine's network; or `sudo modprobe tun` makes it",
  })
  assert.deepEqual(did, [])
})

test('a network that cannot be had, or a launcher that has gone, is told at once', async () => {
  const lost = start({ connect: () => Promise.reject(new Error('no shadow')) })
  await assert.rejects(lost.holding.start(), /no shadow/)
  const { holding, did, gone } = start()
  const started = holding.start()
  gone.resolve()
  await assert.rejects(started, { code: 'launcher' })
  assert.ok(!did.includes('go'))
})

test('the program answers what is under way until the Service leads back; one that has ended is not waited for', async () => {
  const { holding, did, left } = start()
  const closing = holding.close()
  await new Promise(setImmediate)
  assert.deepEqual(did, ['leave'])
  left.resolve(['a note'])
  assert.deepEqual(await closing, ['a note', 'a shadow'])
  assert.deepEqual(did, ['leave', 'close'])

  const ended = start()
  ended.gone.resolve()
  await ended.gone.promise
  void ended.holding.close()
  await new Promise(setImmediate)
  assert.deepEqual(ended.did, ['leave', 'close'])
})

test('the client of the cluster is closed by the last of the two, and of the steps of the shell only news is shown', async () => {
  const shown: string[] = []
  let closed = 0
  const cluster = { close: async () => void closed++ } as unknown as ClusterClient
  const progress: HolderDeps['progress'] = ({ step, state, detail }) => void shown.push(`${step} ${state} ${detail}`)
  const { exchange, shell } = sharedDeps({ cluster, progress } as HolderDeps)
  await shell.cluster.close()
  assert.equal(closed, 0)
  await exchange.cluster.close()
  assert.equal(closed, 1)
  shell.progress({ step: 'cluster', state: 'done', detail: 'ktc', ms: 1 })
  shell.progress({ step: 'ranges', state: 'note', detail: 'guessed', ms: 0 })
  exchange.progress({ step: 'cluster', state: 'done', detail: 'ktc', ms: 1 })
  assert.deepEqual(shown, ['shell note ranges: guessed', 'cluster done ktc'])
})
