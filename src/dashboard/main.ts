// The program behind `kt dashboard`: argument one is JSON { port, socket, open }. Prints the page's address, serves it
// until it is told to end, and runs as the user whose engine it shows.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serveDashboard } from './server.ts'

const { port, socket, open } = JSON.parse(process.argv[2]) as { port: number; socket: string; open: boolean }
const here = dirname(fileURLToPath(import.meta.url))
// In dist/ the page's folder lies beside this program; from source it is the one that was built.
const page = [join(here, 'dashboard'), join(here, '../../dist/dashboard')].find((folder) =>
  existsSync(join(folder, 'page.js')),
)
if (!page) fail("the dashboard's page is missing", 'run ./dev setup again')

const dashboard = await serveDashboard({ port, socket, page, uid: process.getuid!(), env: process.env }).catch(
  (error: NodeJS.ErrnoException) => {
    const why = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message
    return fail(`the dashboard cannot listen on 127.0.0.1:${port}: ${why}`, 'choose another --port, or leave it out')
  },
)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    dashboard.close()
    process.exit(0)
  })
// Whoever started it is gone.
process.on('disconnect', () => process.exit(0))
process.stdout.write(`${dashboard.url}\n`)
if (process.stdout.isTTY) process.stderr.write('Ctrl-C ends it\n')
if (open) show(dashboard.url)

/** Without a desktop there is nothing to open it with; the address is printed in any case. */
function show(url: string): void {
  if (!process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) return
  spawn('xdg-open', [url], { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref()
}

function fail(message: string, hint: string): never {
  process.stderr.write(`error: ${message}\n       ${hint}\n`)
  process.exit(1)
}
