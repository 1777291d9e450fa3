// Opens the page as a person does, and sees that it complains of nothing.
import assert from 'node:assert/strict'
import type { Browser, Page } from 'playwright-core'
import type { Fixture } from './fixture.ts'

const complaints = new WeakMap<Page, string[]>()

interface Look {
  scheme?: 'light' | 'dark'
  width?: number
  height?: number
}

export async function openPage(
  browser: Browser,
  it: Fixture,
  view = '',
  { scheme = 'light', width = 1280, height = 860 }: Look = {},
): Promise<Page> {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme })
  page.setDefaultTimeout(20_000)
  const said: string[] = []
  complaints.set(page, said)
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()))
  page.on('pageerror', (error) => said.push(String(error)))
  await page.goto(it.dashboard.address())
  await page.evaluate((hash) => (location.hash = hash), view)
  return page
}

/** Closes the page; whatever it complained of but a server that has ended is a failure. */
export async function finish(page: Page): Promise<void> {
  await page.close()
  assert.deepEqual(
    complaints.get(page)!.filter((text) => !text.startsWith('Failed to load resource')),
    [],
  )
}

export const visible = (page: Page, role: 'heading' | 'status', text: string): Promise<void> =>
  page.getByRole(role).filter({ hasText: text }).first().waitFor()
