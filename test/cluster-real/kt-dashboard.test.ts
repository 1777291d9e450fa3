// The dashboard on a real cluster: Chromium on one laptop, another laptop connected beside it. What the page shows is
// what the cluster, the flows and kt itself say.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import type { Flows } from '../../src/control/views.ts'
import { noBrowser, startBrowser } from '../dashboard/browser.ts'
import { makeLaptops, realCluster, realMachine } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : noBrowser
const program = 'program' in cluster ? cluster.program : ''
const kt = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin/kt')
const kubectl = (args: string[], input?: string) =>
  execFileSync(program, ['kubectl', ...args], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] }).trim()

const NAMESPACE = 'kt-dash'
const PATIENT_MS = 30_000
const app = { app: 'web' }
const objects = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: app },
      template: {
        metadata: { labels: app },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'web',
              image: 'docker.io/library/node:24-alpine',
              command: [
                'node',
                '-e',
                "require('node:http').createServer((q, s) => s.end('pod\\n')).listen(8080, '::')",
              ],
              readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  },
  ...[
    ['web', app],
    ['cart', app],
    ['idle', { app: 'nobody' }],
  ].map(([name, selector]) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: { selector, ports: [{ port: 80, targetPort: 8080 }] },
  })),
]

describe('the dashboard, two laptops', { skip }, () => {
  const first = realMachine(program, 'dash')
  const second = realMachine(program, 'dash2')
  let folder: string
  let browser: Browser
  let page: Page
  let server: ChildProcess
  const view = (name: string) => page.getByRole('link', { name, exact: true }).click()
  const rows = () => page.locator('tbody tr')
  const cells = (row: Locator) => row.locator('td').allTextContents()

  before(async () => {
    kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
    folder = mkdtempSync(join(tmpdir(), 'kt-dashboard-'))
    makeLaptops(program, 'dash', 'dash2')
    await Promise.all([first, second].map((laptop) => laptop.kt(['down'], { sudo: true })))
    // Chromium in the laptop's network: the page's address is that laptop's own loopback.
    const chromium = join(folder, 'chromium')
    writeFileSync(chromium, `#!/bin/sh\nexec '${program}' laptop --as dash chromium "$@"\n`)
    chmodSync(chromium, 0o755)
    server = spawn(program, ['laptop', '--as', 'dash', 'su', '-', 'dev', '-c', `exec ${kt} dashboard --no-open`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let printed = ''
    server.stdout!.setEncoding('utf8').on('data', (text) => (printed += text))
    browser = await startBrowser(chromium)
    const url = await until(
      'the address',
      () => /^http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(printed)?.[0],
      PATIENT_MS,
    )
    page = await browser.newPage({ viewport: { width: 1280, height: 860 } })
    page.setDefaultTimeout(PATIENT_MS)
    await page.goto(url)
  })
  after(async () => {
    if (skip) return
    await browser?.close()
    server?.kill('SIGTERM')
    await Promise.all([first, second].map((laptop) => laptop.kt(['down'], { sudo: true })))
    kubectl(['delete', 'namespace', NAMESPACE, '--wait=false'])
    rmSync(folder, { recursive: true, force: true })
  })

  test('it says how to connect, and comes alive with kt up', async () => {
    await page.getByRole('status').filter({ hasText: 'Not connected' }).waitFor()
    await page.getByText('kt up', { exact: true }).waitFor()
    const ups = await Promise.all([first, second].map((laptop) => laptop.kt(['up', '-n', NAMESPACE], { sudo: true })))
    for (const up of ups) assert.equal(up.code, 0, up.stderr)
    await page
      .getByRole('status')
      .filter({ hasText: /^Connected$/ })
      .waitFor()
    const status = JSON.parse((await first.kt(['status', '--json'])).stdout)
    const heading = await page.getByRole('region', { name: 'Connection' }).textContent()
    assert.match(heading!, new RegExp(`${status.cluster}.*${NAMESPACE}.*connected for`))
    await page.locator('summary').filter({ hasText: 'Details' }).click()
    await page.getByText(`${status.shadow.pod} on ${status.shadow.node}`).waitFor()
    await page.getByText(status.server).waitFor()
  })

  test('people are grouped: this one person is connected from both laptops', async () => {
    const people = page.getByRole('region', { name: 'People' }).getByRole('listitem').filter({ hasText: NAMESPACE })
    await people
      .getByText(/^connected: (?:[2-9]|\d\d) shadows, in .*kt-dash.* since \d\d:\d\d:\d\d$/)
      .waitFor({ timeout: PATIENT_MS })
    assert.equal(await people.count(), 1)
    assert.match((await people.textContent())!, /^dev@.*this machine/)
  })

  test('services are those of the cluster, and which of them are reached is true', async () => {
    await view('Services')
    // Those of other namespaces come and go with other tests.
    const kept = (service: string) => /^(default|kube-system|shop|kt-dash)\//.test(service)
    const listed = kubectl([
      ...['get', 'services', '-A', '-o'],
      'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}',
    ])
    const told = listed
      .split(' ')
      .filter((service) => kept(service) && !service.includes('-kt-original'))
      .sort()
    await until(
      'the same services',
      async () => {
        const shown = await Promise.all((await rows().all()).map(cells))
        const names = shown.map(([name, namespace]) => `${namespace}/${name}`)
        assert.deepEqual(names.filter(kept).sort(), told)
        return true
      },
      PATIENT_MS,
    )
    const filter = page.getByLabel('Filter services')
    const one = async (name: string) => {
      await filter.fill(`${name}.${NAMESPACE}`)
      await until('one row', async () => (await rows().count()) === 1)
      return cells(rows().first())
    }
    const address = kubectl(['-n', NAMESPACE, 'get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    await until('web is ready', async () => (await one('web'))[4] === '1 of 1', PATIENT_MS)
    assert.deepEqual(await one('web'), ['web', NAMESPACE, '', ' reachable', '1 of 1', '80'])
    assert.equal((await one('idle'))[3], ' not reachable: it has no endpoints')
    await rows().first().click()
    await page.locator('.detail').getByText('it has no endpoints').waitFor()
    await page.keyboard.press('Escape')
    await one('web')
    await rows().first().click()
    await page.locator('.detail').getByText(address, { exact: true }).waitFor()
    await page.locator('.detail').getByRole('button', { name: 'Close' }).click()
    // And so it is.
    assert.equal((await first.probe('get', { url: `http://web.${NAMESPACE}/` })).bytes, 4)
    assert.notEqual((await first.probe('tcp', { host: `idle.${NAMESPACE}`, port: 80 })).error, undefined)
    await filter.fill('')
  })

  test('flows are those of kt flows, with their program and name', async () => {
    await view('Flows')
    const shell = `exec 3<>/dev/tcp/web.shop/7; printf 'hello\\n' >&3; read -r line <&3; ${kt} flows --json 3>&-; sleep 4`
    const running = first.run(['bash', '-c', shell])
    const mine = rows().filter({ hasText: 'web.shop' }).filter({ hasText: 'bash' })
    await mine.first().waitFor()
    const [process, name, remote, state, , received, sent] = await cells(mine.first())
    const { flows } = JSON.parse((await running).stdout) as Flows
    const flow = flows.find((one) => one.name === 'web.shop')!
    assert.deepEqual(
      [process, name, remote, state, received, sent],
      [
        `bash ${flow.process?.pid}`,
        'web.shop',
        flow.remote,
        'TCP established',
        `${flow.bytesIn} B`,
        `${flow.bytesOut} B`,
      ],
    )
    // It has ended, and is still listed.
    await mine.filter({ hasText: 'TCP closed' }).first().waitFor()
  })

  test('a name a program asks for is in the log, and its trace ends where the cluster says', async () => {
    await view('Names')
    await first.run(['getent', 'ahostsv4', 'db-0.db.shop'])
    await page.getByLabel('Failures only').uncheck()
    await page.getByRole('button', { name: 'db-0.db.shop' }).first().waitFor()
    await page.getByLabel('Name to trace').fill('db-0.db.shop')
    await page.getByLabel('Record type').selectOption('A')
    await page.getByRole('button', { name: 'Trace', exact: true }).click()
    await page.getByRole('heading', { name: 'db-0.db.shop A: NOERROR' }).waitFor()
    const address = kubectl(['-n', 'shop', 'get', 'pod', 'db-0', '-o', 'jsonpath={.status.podIP}'])
    await page.getByText(`db-0.db.shop.svc.cluster.local A ${address}`).waitFor()
    await page
      .getByText(/^Asked .* for db-0\.db\.shop\.svc\.cluster\.local: NOERROR in /)
      .first()
      .waitFor()
  })

  test('a download is seen in the curve', async () => {
    await view('Overview')
    const download = first.probe('speed', { host: 'web.shop', port: 19, ms: 4_000 })
    await page.getByRole('img', { name: /now [\d.]+ MB\/s received/ }).waitFor()
    assert.ok((await download).bytes > 1e6)
  })

  test('an exchange is begun on the page, its requests are shown, and it is left; a colleague’s is shown as theirs', async () => {
    const selector = (service: string) =>
      kubectl(['-n', NAMESPACE, 'get', 'service', service, '-o', 'jsonpath={.spec.selector.app}'])
    const colleague = ['exchange', 'cart', '--expose', '18080:80', '--no-check', '--background', '-n', NAMESPACE]
    const program = first.run(['timeout', '90', 'python3', '-m', 'http.server', '18080', '--bind', '127.0.0.1'])
    const begun = second.kt(colleague)

    await view('Services')
    await page.getByLabel('Filter services').fill(`web.${NAMESPACE}`)
    await rows().first().click()
    await page.locator('.detail').getByRole('button', { name: 'Exchange…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Exchange web?' })
    await dialog.getByLabel('Port of this machine').fill('18080')
    await dialog.getByRole('button', { name: 'Exchange' }).click()
    await dialog.waitFor({ state: 'detached', timeout: PATIENT_MS })
    assert.notEqual(selector('web'), 'web')
    await rows().filter({ hasText: 'by you' }).waitFor()

    await view('Overview')
    const list = page.getByRole('region', { name: 'Comes to you' })
    const entry = list.getByRole('listitem').filter({ hasText: `web in ${NAMESPACE}` })
    await entry.getByText('All requests come here: port 80 → localhost:18080').waitFor()
    const { code, stderr } = await begun
    assert.equal(code, 0, stderr)
    const people = page.getByRole('region', { name: 'People' })
    const theirs = people.locator('.lease').filter({ hasText: 'cart' })
    await theirs.waitFor({ timeout: PATIENT_MS })
    assert.equal(await theirs.getByRole('button').count(), 0)

    await view('Requests')
    // Connections are read from the page's first question on, which may be a moment after the exchange began.
    const seen = rows().filter({ hasText: '/from-the-cluster' })
    await until(
      'a request is shown',
      async () => {
        await first.probe('get', { url: `http://web.${NAMESPACE}/from-the-cluster?token=s3cret` })
        return (await seen.count()) > 0
      },
      PATIENT_MS,
    )
    assert.match((await seen.first().textContent())!, /GET \/from-the-cluster\?token=\(hidden\)404/)

    await view('Overview')
    const left = second.kt(['leave', 'cart', '-n', NAMESPACE])
    await entry.getByRole('button', { name: 'Leave web' }).click()
    await page.getByRole('dialog', { name: 'Leave web?' }).getByRole('button', { name: 'Leave' }).click()
    await entry.waitFor({ state: 'detached', timeout: PATIENT_MS })
    assert.equal(selector('web'), 'web')
    assert.equal((await left).code, 0)
    await theirs.waitFor({ state: 'detached', timeout: PATIENT_MS })
    void program.catch(() => {}) // ends by its time limit
  })

  test('Disconnect asks, then disconnects', async () => {
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('status').filter({ hasText: 'Not connected' }).waitFor()
    assert.equal((await first.kt(['status'])).code, 3)
    assert.equal((await second.kt(['status'])).code, 0)
  })
})
