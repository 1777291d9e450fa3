// Makes docs/images/dashboard-*.png anew, from an engine's stand-in: `node test/dashboard/screenshots.ts`, after a build.
import { mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Team } from '../../src/control/protocol.ts'
import { startBrowser } from './browser.ts'
import { connectedStatus, manyFlows, manyNames, manyRequests, manySamples, manyServices } from './double.ts'
import { fixture } from './fixture.ts'

const pictures = [
  ['overview', '', 'light'],
  ['overview', '', 'dark'],
  ['requests', 'requests', 'light'],
  ['services', 'services', 'light'],
  ['flows', 'flows', 'dark'],
  ['names', 'names', 'light'],
] as const

const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
const held = (kind: 'exchange' | 'mesh', target: string, holder: string, since: number, alive: boolean) =>
  ({
    kind,
    mode: 'selector',
    target,
    namespace: 'shop',
    holder,
    since: ago(since),
    alive,
  }) satisfies Team['held'][number]

let round = 0
await using it = await fixture((engine) => {
  engine.services = { scope: 'cluster', services: manyServices(1000), notes: [] }
  engine.names = manyNames(200)
  engine.requests = manyRequests(60)
  engine.samples = manySamples(600)
  const bytes = { in: 41e8, out: 3e8 }
  engine.status = { ...connectedStatus(), flows: { tcp: 1778, udp: 222 }, bytes, roundTripMs: 23.1 }
  engine.beforeFlows = () => (engine.flows = manyFlows(2000, ++round))
  engine.team = {
    connected: [
      { owner: 'grace@desk', namespace: 'payments', pod: 'p2', node: 'node-1', since: ago(126), own: false },
      { owner: 'ada@thinkpad', namespace: 'shop', pod: 'p1', node: 'node-2', since: ago(12), own: true },
    ],
    held: [
      held('exchange', 'web', 'ada@thinkpad', 2, true),
      held('mesh', 'orders', 'grace@desk', 90, true),
      held('exchange', 'mail', 'linus@tower', 117, false),
    ],
  }
  engine.trace = {
    name: '',
    type: '',
    rcode: 'NOERROR',
    records: [{ name: 'web.shop.svc.cluster.local', type: 'A', ttl: 30, data: '10.96.168.41' }],
    rule: 'service.namespace',
    cache: { state: 'fresh', rcode: 'NOERROR', ageS: 4, leftS: 26 },
    decisions: [{ rule: 'service.namespace', cluster: ['web.shop.svc.cluster.local'], local: 'after', unknown: [] }],
    tries: [{ name: 'web.shop.svc.cluster.local', upstream: '10.96.0.10', rcode: 'NOERROR', ms: 4.1, probe: false }],
    resolved: null,
    ms: 5.3,
  }
})
await it.engine.hold('web')
mkdirSync('docs/images', { recursive: true })
const browser = await startBrowser()
for (const [name, view, colorScheme] of pictures) {
  const viewport = { width: 1120, height: view === '' ? 800 : 560 }
  const page = await browser.newPage({ viewport, colorScheme })
  await page.goto(it.dashboard.address())
  await page.evaluate((hash) => (location.hash = hash), view)
  if (view === 'names') {
    await page.getByLabel('Name to trace').fill('web.shop')
    await page.getByRole('button', { name: 'Trace', exact: true }).click()
  }
  if (view === 'requests' || view === 'services') await page.locator('tbody tr').nth(1).click()
  await delay(2_000)
  await page.screenshot({ path: `docs/images/dashboard-${name}-${colorScheme}.png` })
  await page.close()
}
await browser.close()
