// Starts a holder and stays with it: shows its steps and what it says, hands Ctrl-C on, and waits until it has put
// everything back. The holder has a session of its own, so that no Ctrl-C reaches it but through here.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HolderCommand, HolderConfig, HolderLine } from '../control/holder.ts'
import { LineSplitter } from '../control/lines.ts'
import type { Caller } from './caller.ts'
import { bold, CliError, dim, printProgress } from './output.ts'

/** Resolves when the holder has ended after it was told to; rejects with CliError when it failed. */
export async function hold(config: HolderConfig, caller: Caller): Promise<void> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', holderScript()], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
    // Under sudo it is still the person's kubeconfig, and nothing here needs root.
    ...(caller.sudo && { uid: caller.uid, gid: caller.gid }),
    env: caller.sudo ? { ...process.env, HOME: caller.home, USER: caller.name, LOGNAME: caller.name } : process.env,
  })
  child.stdin.on('error', () => {}) // its end is seen on its output
  child.stdin.write(`${JSON.stringify(config)}\n`)
  const exited = new Promise<void>((resolve, reject) => {
    child.once('error', (error) =>
      reject(new CliError(`the holder cannot be started: ${error.message}`, 'run ./dev setup again')),
    )
    child.once('close', () => resolve())
  })

  let interrupted = 0
  let ready = false
  let failed: CliError | undefined
  const interrupt = () => {
    if (interrupted++ === 0) process.stderr.write(`${dim(process.stderr, 'ending; everything is put back')}\n`)
    const end: HolderCommand = { op: 'end' }
    child.stdin.write(`${JSON.stringify(end)}\n`)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, interrupt)
  const splitter = new LineSplitter()
  child.stdout.on('data', (chunk: Buffer) => {
    for (const text of splitter.push(chunk)) {
      const line = JSON.parse(text) as HolderLine
      if (line.type === 'progress') printProgress(line)
      else if (line.type === 'notice') process.stderr.write(`${line.message}\n`)
      else if (line.type === 'failed') failed = new CliError(line.message, line.hint)
      else {
        ready = true
        process.stderr.write(`${bold(process.stderr, line.message)}\n`)
      }
    }
  })
  try {
    await exited
  } finally {
    for (const signal of signals) process.off(signal, interrupt)
  }
  if (interrupted === 0)
    throw (
      failed ?? new CliError('the holder ended unexpectedly', '`kt logs` may say why; `kt clean` removes what it left')
    )
  if (!ready) throw new CliError('interrupted; nothing was left behind', 'the same command starts again')
  if (failed) throw failed
}

function holderScript(): string {
  const folder = dirname(fileURLToPath(import.meta.url))
  const script = [join(folder, 'holder.js'), join(folder, '../daemon/holder.ts')].find((path) => existsSync(path))
  if (!script) throw new CliError('the holder program is missing', 'run ./dev setup again')
  return script
}
