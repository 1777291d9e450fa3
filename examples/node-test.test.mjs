// Tests of a program against the services of a cluster, with Node's own test runner: `node --test examples/node-test.test.mjs`.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
// In a project that has installed the package: from 'kt-cluster-vpn'.
import { connect } from 'kt'

// Names and namespace of your own go here.
const namespace = process.env.KT_EXAMPLE_NAMESPACE ?? 'shop'
const cluster = await connect({ namespace, readyTimeoutMs: 30_000 }).catch((error) => ({ missing: error.message }))
const skip = 'missing' in cluster ? `no cluster: ${cluster.missing}` : false

describe('the shop', { skip }, () => {
  after(() => cluster.close())

  test('a Service answers under its short name', async () => {
    const response = await cluster.fetch('http://web/')
    assert.equal(response.status, 200)
  })

  describe('with a version of ours', () => {
    let exposed
    before(async () => {
      const server = createServer((request, response) => response.end(`ours: ${request.url}`))
      // Only requests with this header come here; colleagues do not notice.
      exposed = await cluster.expose('web', server, { port: 80, header: { name: 'x-example', value: 'node' } })
    })
    after(() => exposed?.close())

    test('requests with its header come to this process', async () => {
      const response = await cluster.fetch('http://web/cart', { headers: { 'x-example': 'node' } })
      assert.equal(await response.text(), 'ours: /cart')
    })

    test('all others do not', async () => {
      assert.doesNotMatch(await (await cluster.fetch('http://web/cart')).text(), /ours/)
    })
  })
})
