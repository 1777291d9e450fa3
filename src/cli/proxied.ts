// `kt shell` where no namespace can be made: the program runs on this machine's own network, and is told of a proxy into the
// cluster by the usual variables. Programs that heed none of them do not reach the cluster.
import { type ChildProcess, spawn } from 'node:child_process'
import type { HolderCommand, ProxyConfig, ShellConfig } from '../control/holder.ts'
import type { Caller } from './caller.ts'
import { connectedHere } from './connected.ts'
import { type Holder, startHolder } from './holder.ts'
import { CliError } from './output.ts'
import { bothCases, proxyEnvironment } from './proxy-environment.ts'

/** A holder that is told to end gives itself less. */
const END_MS = 12_000

/** Resolves when the program has ended and the proxy, too; the exit code is the program's. Rejects with CliError. */
export async function runWithProxy(shell: ShellConfig, caller: Caller): Promise<void> {
  const { name, command, ports: _, kind: __, ...rest } = shell
  const config: ProxyConfig = { ...rest, kind: 'proxy', port: 0, clusterOnly: false }
  const holder = startHolder({ ...config, connected: await connectedHere(caller) }, caller)
  let child: ChildProcess | undefined
  const interrupted = () => {
    if (!child) end(holder)
  }
  const handOn = (signal: NodeJS.Signals) => {
    if (child) child.kill(signal)
    else end(holder)
  }
  process.on('SIGINT', interrupted).on('SIGQUIT', interrupted).on('SIGTERM', handOn).on('SIGHUP', handOn)
  try {
    const address = await ready(holder)
    child = spawn(command[0], command.slice(1), {
      stdio: 'inherit',
      env: { ...process.env, KT_SHELL: name, ...bothCases(proxyEnvironment(address)) },
    })
    const { code, signal } = await ended(child, command[0])
    end(holder)
    await holder.ended
    process.off('SIGTERM', handOn).off('SIGHUP', handOn).off('SIGINT', interrupted).off('SIGQUIT', interrupted)
    if (signal) process.kill(process.pid, signal)
    process.exitCode = code ?? 1
  } finally {
    end(holder)
    holder.letGo()
  }
}

/** Where the proxy listens. */
function ready(holder: Holder): Promise<string> {
  return new Promise((resolve, reject) => {
    holder.onLine((line) => {
      if (line.type === 'ready' && line.proxy) resolve(line.proxy.address)
      else if (line.type === 'failed') reject(new CliError(line.message, line.hint))
      else if (line.type === 'notice') process.stderr.write(`${line.message}\n`)
    })
    holder.ended.then(
      () => reject(new CliError('the proxy ended before the program began', '`kt logs` may say why')),
      reject,
    )
  })
}

function ended(child: ChildProcess, name: string): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      process.stderr.write(`error: ${name}: ${error.code === 'ENOENT' ? 'command not found' : error.message}\n`)
      resolve({ code: error.code === 'ENOENT' ? 127 : 126, signal: null })
    })
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
}

function end({ child }: Holder): void {
  const command: HolderCommand = { op: 'end' }
  if (child.stdin.writable) child.stdin.write(`${JSON.stringify(command)}\n`)
  setTimeout(() => child.kill('SIGKILL'), END_MS).unref()
}
