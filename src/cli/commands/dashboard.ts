// `kt dashboard`: starts the program that serves the page, as the calling user, and lives as long as it.
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { REPAIR } from '../../base/installation.ts'
import { controlSocket } from '../../control/paths.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { CliError } from '../output.ts'
import { programCommand } from '../programs.ts'
import { type ClusterOptions, withClusterOptions } from './common.ts'

export function addDashboardCommand(program: Command): void {
  withClusterOptions(
    program.command('dashboard').description('a page on 127.0.0.1: services, flows, names, who is connected'),
  )
    .addOption(new Option('--port <number>', 'port of 127.0.0.1').default(0, 'one that is free').argParser(portNumber))
    .option('--no-open', 'do not open a browser')
    .action(async ({ port, open, ...chosen }: ClusterOptions & { port: number; open: boolean }) => {
      process.exitCode = await serve(whoCalls(), { port, open, chosen })
    })
}

/** Resolves to the program's exit code. */
async function serve(
  caller: Caller,
  { chosen, ...options }: { port: number; open: boolean; chosen: ClusterOptions },
): Promise<number> {
  // What the page begins is begun on the cluster that was chosen here.
  const flags = [
    ...(chosen.kubeconfig ? ['--kubeconfig', resolve(chosen.kubeconfig)] : []),
    ...(chosen.context ? ['--context', chosen.context] : []),
  ]
  const argument = JSON.stringify({ ...options, flags, socket: controlSocket(caller.uid) })
  // Under sudo it is the person's, not root's: it only speaks to the person's engine.
  const identity = caller.sudo ? { uid: caller.uid, gid: caller.gid } : {}
  const child = spawn(process.execPath, [...programCommand('dashboard'), argument], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    ...identity,
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  return new Promise((settle, reject) => {
    child.on('error', (error) => reject(new CliError(`the dashboard cannot be started: ${error.message}`, REPAIR)))
    child.on('exit', (code) => settle(code ?? 0))
  })
}

function portNumber(value: string): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 0 || number > 65_535)
    throw new InvalidArgumentError('expected a port number, 0 to 65535.')
  return number
}
