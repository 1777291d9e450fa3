// What one does on the page: looks at requests, opens rows by the keyboard, begins and ends an exchange.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { Forwards } from '../../src/dashboard/forwards.ts'
import type { Start } from '../../src/dashboard/model.ts'
import { until } from '../support/until.ts'
import { noBrowser, startBrowser } from './browser.ts'
import { manyFlows, manyNames, manyRequests, manyServices } from './double.ts'
import { fixture } from './fixture.ts'
import { finish, openPage, visible } from './open-page.ts'

/** Stands for the command line: writes down how it was called, says what kt says, and a forward goes on until Ctrl-C. */
class KtDouble implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'kt-double-'))
  readonly program = join(this.folder, 'kt')
  readonly #asked = join(this.folder, 'asked')

  constructor() {
    writeFileSync(
      this.program,
      `#!/bin/sh
echo "$@" >>'${this.#asked}'
case "$*" in
*refused*) printf 'error: refused is held by ann@desk\\n       --force takes it over\\n' >&2; exit 1 ;;
forward*) trap 'echo ended >>${this.#asked}; exit 0' INT
  echo 'localhost:8080 leads to service/web in shop, port 80. Ctrl-C ends it.' >&2; while :; do sleep 0.05; done ;;
*) echo 'requests to web.shop come here: 80 -> localhost:8080.' >&2 ;;
esac
`,
    )
    chmodSync(this.program, 0o755)
  }

  get asked(): string[] {
    return existsSync(this.#asked) ? readFileSync(this.#asked, 'utf8').trim().split('\n') : []
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const start = (more: Partial<Start>): Start => ({
  kind: 'exchange',
  target: 'web',
  namespace: 'shop',
  local: 8080,
  remote: 80,
  ...more,
})

describe('what the page begins', () => {
  test('is begun by the command line, in the context of the engine and with the flags of the dashboard', async () => {
    using kt = new KtDouble()
    const forwards = new Forwards({ program: kt.program, flags: ['--kubeconfig', '/k'] })
    assert.deepEqual(await forwards.start(start({}), 'dev'), {
      message: 'requests to web.shop come here: 80 -> localhost:8080.',
    })
    const chosen = new Forwards({ program: kt.program, flags: ['--context', 'mine'] })
    await chosen.start(start({ kind: 'mesh' }), 'dev')
    assert.deepEqual(kt.asked, [
      'exchange service/web --expose 8080:80 --background -n shop --kubeconfig /k --context dev',
      'mesh service/web --expose 8080:80 --background -n shop --context mine',
    ])
    await assert.rejects(forwards.start(start({ target: 'refused' }), undefined), {
      message: 'refused is held by ann@desk',
      hint: '--force takes it over',
    })
    const missing = new Forwards({ program: join(kt.folder, 'nothing'), flags: [] })
    await assert.rejects(missing.start(start({}), undefined), /ended without a word/)
  })

  test('a forward goes on until it is stopped, or the dashboard ends', async () => {
    using kt = new KtDouble()
    const forwards = new Forwards({ program: kt.program, flags: [] })
    await forwards.start(start({ kind: 'forward' }), undefined)
    assert.deepEqual(forwards.list(), [{ target: 'web', namespace: 'shop', local: 8080, remote: 80, trouble: '' }])
    await forwards.stop(8080)
    assert.deepEqual(kt.asked.at(-1), 'ended')
    await until('forgotten', () => forwards.list().length === 0)
    await assert.rejects(forwards.stop(8080), /no forward of port 8080/)
    await forwards.start(start({ kind: 'forward' }), undefined)
    forwards.close()
    await until('ended', () => kt.asked.filter((line) => line === 'ended').length === 2)
  })
})

describe('working on the page', { skip: noBrowser }, () => {
  let browser: Browser
  before(async () => {
    browser = await startBrowser()
  })
  after(() => browser?.close())

  test('requests come in as they end; / filters, arrow keys and Enter open one, Escape closes it', async () => {
    await using it = await fixture((engine) => {
      engine.requests = manyRequests(40)
    })
    await it.engine.hold('web')
    const page = await openPage(browser, it, 'requests')
    await visible(page, 'status', 'the last 40 requests; 1 open connection not read')
    it.engine.requests = [...it.engine.requests, { ...manyRequests(1)[0], seq: 41, path: '/fresh', status: 500 }]
    await visible(page, 'status', 'the last 41 requests')
    await page.keyboard.press('/')
    await page.keyboard.type('fresh')
    await visible(page, 'status', '1 of the last 41 requests')
    await page.keyboard.press('Enter')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    const detail = page.locator('.detail')
    await detail.getByText('authorization:').waitFor()
    assert.match((await detail.textContent())!, /POST \/fresh 500.*web in shop, port 80 → localhost:8080.*\(hidden\)/)
    await page.keyboard.press('Escape')
    await detail.waitFor({ state: 'detached' })
    await page.keyboard.press('/')
    await page.keyboard.press('Escape')
    await visible(page, 'status', 'the last 41 requests')
    // The overview tells how it goes.
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByText('41 requests in the last minute').waitFor()
    await page.getByText(', 4 failed').waitFor()
    await finish(page)
  })

  test('bodies are asked for while a person wants them, and shown as text', async () => {
    await using it = await fixture((engine) => {
      engine.requests = manyRequests(2)
    })
    await it.engine.hold('web')
    const page = await openPage(browser, it, 'requests')
    const row = (text: string) => page.getByRole('row').filter({ hasText: text })
    const detail = page.locator('.detail')
    await row('/price?id=1').click()
    await detail.getByText('their content is not read').waitFor()
    assert.equal(it.engine.bodiesWanted, false)
    await page.getByLabel('Show bodies').click()
    await until('bodies are asked for', () => it.engine.bodiesWanted)
    it.engine.requests = [
      ...it.engine.requests,
      {
        ...{ ...manyRequests(1)[0], seq: 3, path: '/fresh', bytesOut: 9_000 },
        requestBody: { text: '{"a":\n"<b>\u202e\x1b"}', cut: false, why: null },
        responseBody: { text: null, cut: true, why: 'not text' },
      },
    ]
    await row('/fresh').click()
    await detail.getByRole('heading', { name: 'Request body' }).waitFor()
    assert.equal(await detail.locator('pre').textContent(), '{"a":\n"<b>\\u202e\\x1b"}')
    await detail.getByText('Not shown: not text').waitFor()
    await detail.getByText('it has 9.0 kB').waitFor()
    // Another page sees what was chosen; without pages nobody wants bodies any more.
    const other = await openPage(browser, it, 'requests')
    assert.equal(await other.getByLabel('Show bodies').isChecked(), true)
    await finish(other)
    await finish(page)
    const again = await openPage(browser, it, 'requests')
    await visible(again, 'status', 'the last 3 requests')
    await again.waitForFunction(() => !document.querySelector<HTMLInputElement>('.check input')!.checked)
    await until('bodies are not asked for any more', () => !it.engine.bodiesWanted)
    await finish(again)
  })

  test('flows: those that are open come first, then those that ended, the last one first', async () => {
    await using it = await fixture((engine) => {
      const [one, two, three, four] = manyFlows(4)
      engine.flows = [
        { ...one, name: 'old', ageMs: 60_000 },
        { ...two, name: 'new', ageMs: 1_000 },
      ]
      engine.closed = [
        { ...three, name: 'ended-first', ageMs: 10, state: 'closed', closedMs: 40_000 },
        { ...four, name: 'ended-last', ageMs: 9_000, state: 'refused', closedMs: 5_000 },
      ]
    })
    const page = await openPage(browser, it, 'flows')
    await visible(page, 'status', '2 flows open, 2 ended in the last minute')
    const names = () => page.locator('tbody tr td:nth-child(2)').allTextContents()
    assert.deepEqual(await names(), ['new', 'old', 'ended-last', 'ended-first'])
    assert.match((await page.locator('tbody tr').nth(2).textContent())!, /TCP ended: refused \d+ s ago/)
    await finish(page)
  })

  test('requests are shown without a connection, too', async () => {
    await using it = await fixture((engine) => {
      engine.requests = manyRequests(3)
    }, false)
    await it.engine.hold('web')
    const page = await openPage(browser, it, 'requests')
    await visible(page, 'status', 'Not connected')
    await visible(page, 'status', 'the last 3 requests')
    await finish(page)
  })

  test('services: the own namespace first, who holds what, and an exchange is begun after a question', async () => {
    using kt = new KtDouble()
    await using it = await fixture(
      (engine) => {
        engine.services = { scope: 'cluster', services: manyServices(40), notes: [] }
        const since = '2026-01-01T10:00:00Z'
        engine.team.held = [
          { kind: 'mesh', mode: 'auto', target: 'mail', namespace: 'shop', holder: 'grace@two', since, alive: true },
        ]
      },
      true,
      { program: kt.program, flags: [] },
    )
    const web = await it.engine.hold('web')
    const page = await openPage(browser, it, 'services')
    await visible(page, 'status', '40 services')
    const row = (name: string) => page.locator('tbody tr').filter({ has: page.getByText(name, { exact: true }) })
    await row('web').getByText('by you').waitFor()
    await row('mail').getByText('grace@two').waitFor()
    const spaces = await page.locator('tbody tr td:nth-child(2)').allTextContents()
    assert.ok(spaces.slice(0, 8).every((one) => one === 'shop'))
    assert.ok(spaces.slice(8).every((one) => one !== 'shop'))

    await row('mail').click()
    const detail = page.locator('.detail')
    await detail.getByRole('link', { name: 'http://mail/' }).waitFor()
    await detail.getByText('kt exchange mail -n shop --expose 8080:80').waitFor()
    await detail.getByRole('button', { name: 'Exchange…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Exchange mail?' })
    await dialog.getByLabel('Port of this machine').fill('9000')
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    assert.deepEqual(kt.asked, [])
    await detail.getByRole('button', { name: 'Exchange…' }).click()
    await dialog.getByLabel('Port of this machine').fill('0')
    await dialog.getByRole('button', { name: 'Exchange' }).click()
    await dialog.getByRole('alert').getByText('local is no port').waitFor()
    await dialog.getByLabel('Port of this machine').fill('9000')
    await dialog.getByRole('button', { name: 'Exchange' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.deepEqual(kt.asked, ['exchange service/mail --expose 9000:80 --background -n shop --context team-staging'])

    await detail.getByRole('button', { name: 'Forward…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Forward' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByText('localhost:8080 leads to port 80').waitFor()
    await page.getByRole('button', { name: 'Stop the forward of mail' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
    await page.getByText('localhost:8080 leads to port 80').waitFor({ state: 'detached' })
    assert.equal(kt.asked.at(-1), 'ended')

    // What one holds is left from its row, too, and is not begun again.
    await page.getByRole('link', { name: 'Services' }).click()
    await row('web').click()
    await detail.getByText('kt leave web -n shop').waitFor()
    const begin = detail.getByRole('button', { name: 'Exchange…', exact: true })
    assert.equal(await begin.count(), 0)
    await detail.getByRole('button', { name: 'Leave the exchange…' }).click()
    await page.getByRole('dialog', { name: 'Leave web?' }).getByRole('button', { name: 'Leave' }).click()
    await begin.waitFor()
    assert.equal(web.left, true)
    await finish(page)
  })

  test('nothing is begun in another cluster than the one that the page shows', async () => {
    using kt = new KtDouble()
    await using it = await fixture(
      (engine) => {
        engine.services = { scope: 'cluster', services: manyServices(3), notes: [] }
      },
      true,
      { program: kt.program, flags: ['--kubeconfig', '/other/config'] },
    )
    const page = await openPage(browser, it, 'services')
    await page.locator('tbody tr').first().click()
    await page.locator('.detail').getByRole('button', { name: 'Exchange…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Exchange' }).click()
    await page.getByRole('dialog').getByRole('alert').getByText('kt is connected to staging').waitFor()
    assert.deepEqual(kt.asked, [])
    await finish(page)
  })

  test('flows that ended within the last minute are listed with how they ended', async () => {
    await using it = await fixture((engine) => {
      engine.flows = manyFlows(3)
      engine.closed = manyFlows(5)
        .slice(3)
        .map((flow, i) => ({ ...flow, process: null, state: ['closed', 'refused'][i], closedMs: 900 }))
    })
    const page = await openPage(browser, it, 'flows')
    await visible(page, 'status', '3 flows open, 2 ended in the last minute')
    await page.getByText('TCP ended: refused').click()
    await page.locator('.detail').getByText('Ended', { exact: true }).waitFor()
    await finish(page)
  })

  test('at 390 px rows are cards, nothing is wider than the screen, and a detail covers it', async () => {
    await using it = await fixture((engine) => {
      engine.services = { scope: 'cluster', services: manyServices(200), notes: [] }
      engine.flows = manyFlows(100)
      engine.names = manyNames(100)
      engine.requests = manyRequests(100)
    })
    await it.engine.hold('web')
    const page = await openPage(browser, it, '', { width: 390, height: 844 })
    for (const view of ['', 'requests', 'services', 'flows', 'names']) {
      await page.evaluate((hash) => (location.hash = hash), view)
      await page
        .locator(view === '' ? '.card' : 'tbody tr')
        .first()
        .waitFor()
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(width <= 390, `${view}: ${width} px`)
      if (view === '') continue
      const box = (await page.locator('tbody tr:not(.spacer)').first().boundingBox())!
      assert.ok(box.width <= 390 && box.height > 100, `${view}: ${JSON.stringify(box)}`)
      // As many cards as the table thinks there are: scrolling to the end shows the last one.
      assert.ok((await page.locator('tbody tr').count()) < 60)
    }
    await page.evaluate(() => (location.hash = 'requests'))
    await page.locator('tbody tr').first().click()
    const detail = (await page.locator('.detail').boundingBox())!
    assert.deepEqual([detail.x, detail.y, detail.width, detail.height], [0, 0, 390, 844])
    await page.keyboard.press('Escape')
    await finish(page)
  })
})
