// The same with vitest: `npx vitest run examples/vitest.test.ts`. `await using` ends each connection with its test.
// In a project that has installed the package: from 'kt-cluster-vpn'.
import { connect } from 'kt'
import { describe, expect, it } from 'vitest'

const namespace = process.env['KT_EXAMPLE_NAMESPACE'] ?? 'shop'
const missing = await connect({ namespace, readyTimeoutMs: 30_000 }).then(
  async (cluster) => void (await cluster.close()),
  (error: Error) => error.message,
)

describe.skipIf(missing !== undefined)(missing ? `the shop (no cluster: ${missing})` : 'the shop', () => {
  it('has services that this test reaches by name', { timeout: 60_000 }, async () => {
    await using cluster = await connect({ namespace })
    const names = (await cluster.services()).map(({ name }) => name)
    expect(names).toContain('web')
    const response = await cluster.fetch('http://web/')
    expect(response.status).toBe(200)
  })
})
