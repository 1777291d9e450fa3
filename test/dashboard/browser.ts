// Debian's Chromium for tests of the page.
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
)

/** Why tests of the page cannot run, or false. */
export const noBrowser = program ? false : 'no Chromium here: apt-get install chromium'

/** `executable`: a program that runs Chromium, in another network say. */
export function startBrowser(executable = program): Promise<Browser> {
  return chromium.launch({
    executablePath: executable,
    // Root may not use Chromium's sandbox; containers have a small /dev/shm.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  })
}
