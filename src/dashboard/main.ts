// The program behind `kt dashboard`: argument one is JSON { port, socket, open, flags }. Prints the page's address, serves it
// until it is told to end, and runs as the user whose engine it shows.
import { readFileSync } from 'node:fs'
import { MissingPartError, ownProgram } from '../base/installation.ts'
import { Opener } from './opener.ts'
import { serveDashboard } from './page-server.ts'

const { port, socket, open, flags } = JSON.parse(process.argv[2]) as {
  port: number
  socket: string
  open: boolean
  flags: string[]
}

const dashboard = await serveDashboard({
  port,
  socket,
  kt: { program: ownProgram, flags },
  uid: process.getuid!(),
  env: process.env,
}).catch((error: NodeJS.ErrnoException) => {
  if (error instanceof MissingPartError) return fail(error.message, error.hint)
  const why = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message
  return fail(`the dashboard cannot listen on 127.0.0.1:${port}: ${why}`, 'choose another --port, or leave it out')
})
const opener = new Opener(process.env)
const end = (code: number) => {
  opener.close()
  dashboard.close()
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0))
// Whoever started it is gone.
process.on('disconnect', () => end(0))
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // the terminal has gone; the page has not
process.stdout.write(`${dashboard.address()}\n`)
if (process.stdout.isTTY) {
  const again = process.stdin.isTTY ? '; Enter prints another one' : ''
  process.stderr.write(`this address opens the page once, within a minute${again}; Ctrl-C ends it\n`)
}
if (process.stdin.isTTY) onEnter(() => process.stdout.write(`${dashboard.address()}\n`))
if (open) opener.open(dashboard.address())

/** Calls back for each line typed while this program has the terminal. In the background, reading it would stop us. */
function onEnter(callback: () => void): void {
  const listen = () => (hasTerminal() ? process.stdin.resume() : process.stdin.pause())
  process.stdin.on('data', callback).on('error', () => {})
  process.on('SIGCONT', listen)
  listen()
}

/** proc_pid_stat(5): field 5 is our process group, field 8 the one that has the terminal; -1 without job control. */
function hasTerminal(): boolean {
  try {
    const text = readFileSync('/proc/self/stat', 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[5] === fields[2] || fields[5] === '-1'
  } catch {
    return false
  }
}

function fail(message: string, hint: string): never {
  process.stderr.write(`error: ${message}\n       ${hint}\n`)
  process.exit(1)
}
