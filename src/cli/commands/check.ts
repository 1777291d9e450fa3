// `kt check`: is this machine, and this cluster, ready? One line a check; the program beside this one does them.
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Command, Option } from 'commander'
import { quietPipes } from '../../base/children.ts'
import { REPAIR } from '../../base/installation.ts'
import { visible } from '../../base/visible.ts'
import type { CheckEnd, CheckLine, CheckRequest, CheckSaid } from '../../control/check.ts'
import { LineSplitter } from '../../control/lines.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { connectedHere } from '../connected.ts'
import { callersEnvironment } from '../environment.ts'
import { helperServes } from '../helper-socket.ts'
import { bold, CliError, dim, EXIT, green, printJson, printProgress, red, yellow } from '../output.ts'
import { programCommand } from '../programs.ts'
import { asTyped } from '../self.ts'
import { cidrs, oneOf, withClusterOptions } from './common.ts'
import { type ShadowFlags, shadowConfig, withPodOptions } from './shadow-options.ts'

interface CheckOptions extends Omit<ShadowFlags, 'shadow'> {
  shadow?: true | 'agent' | 'sshd'
  include?: string[]
  exclude?: string[]
  json?: boolean
}

export function addCheckCommand(program: Command): void {
  const command = program
    .command('check')
    .description(
      'is this machine, and this cluster, ready? Needs no root and changes nothing, except that --shadow starts a shadow and removes it',
    )
  withPodOptions(withClusterOptions(command))
    .addOption(
      new Option(
        '--shadow [kind]',
        'also make a shadow, try what only a running one can tell, and remove it',
      ).argParser(oneOf('agent', 'sshd')),
    )
    .option('-i, --image <image>', "the shadow's image")
    .option('--include <cidr>', 'as for kt up (repeatable)', cidrs)
    .option('--exclude <cidr>', 'as for kt up (repeatable)', cidrs)
    .option('--json', 'one JSON object')
    .action(check)
}

async function check(options: CheckOptions): Promise<void> {
  const caller = whoCalls()
  const { shadow, include = [], exclude = [] } = options
  const kind = shadow === undefined || shadow === true ? 'agent' : shadow
  const request: CheckRequest = {
    // The environment goes the way of environments: this is an argument, which everybody may read.
    config: { ...shadowConfig({ ...options, shadow: kind }, caller), env: {}, connected: await connectedHere(caller) },
    include,
    exclude,
    tryShadow: shadow !== undefined,
    root: caller.root ? 'root' : (await helperServes()) ? 'socket' : hasSudo() ? 'sudo' : 'none',
  }
  const checks: CheckLine[] = []
  let notTried: string[] | undefined
  let group = ''
  await run(request, caller, (line) => {
    if ('said' in line) {
      printProgress({ step: 'login', state: 'note', detail: line.said, ms: 0 })
      return
    }
    if ('notTried' in line) {
      notTried = line.notTried
      return
    }
    checks.push(line)
    if (options.json) return
    if (line.group !== group) process.stdout.write(`${bold(process.stdout, line.group)}\n`)
    group = line.group
    printLine(line)
  })
  if (!notTried)
    throw new CliError('the check ended before it was done', 'run it again with KT_LOG=debug, and report what it says')
  const failed = checks.filter(({ state }) => state === 'failed').length
  const warnings = checks.filter(({ state }) => state === 'warning').length
  if (options.json) printJson({ ok: failed === 0, failed, warnings, checks, notTried })
  else {
    for (const one of notTried) process.stdout.write(`${dim(process.stdout, `not tried: ${asTyped(one)}`)}\n`)
    process.stdout.write(`${bold(process.stdout, verdict(failed, warnings))}\n`)
  }
  if (failed > 0) process.exitCode = EXIT.failed
}

function verdict(failed: number, warnings: number): string {
  const warned = warnings === 0 ? '' : `, ${warnings} warning${warnings > 1 ? 's' : ''}`
  if (failed > 0) return `not ready: ${failed} failed${warned}`
  return `ready${warned}`
}

const marks = { ok: green, warning: yellow, failed: red }
const signs = { ok: '✓', warning: '!', failed: '✗' }
/** Each check has limits of its own, and a shadow that is tried may take its time. */
const CHECK_MS = 5 * 60_000
const NAME_WIDTH = 24

function printLine({ name, state, result, advice }: CheckLine): void {
  const out = process.stdout
  out.write(`  ${marks[state](out, signs[state])} ${name.padEnd(NAME_WIDTH)} ${state.padEnd(7)}  ${visible(result)}\n`)
  if (advice && state !== 'ok')
    out.write(`    ${''.padEnd(NAME_WIDTH)}          ${dim(out, visible(asTyped(advice)))}\n`)
}

function run(
  request: CheckRequest,
  caller: Caller,
  take: (line: CheckLine | CheckEnd | CheckSaid) => void,
): Promise<void> {
  const child = spawn(process.execPath, [...programCommand('check'), JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', process.env['KT_LOG'] === 'debug' ? 'inherit' : 'ignore'],
    // Under sudo it is still the person's kubeconfig, and nothing here needs root.
    ...(caller.sudo && { uid: caller.uid, gid: caller.gid }),
    env: callersEnvironment(process.env, caller),
  })
  quietPipes(child)
  // The child removes its shadow before it ends; a terminal's Ctrl-C has reached it already, which is no harm.
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      interrupted = true
      child.kill(signal)
    })
  const limit = setTimeout(() => child.kill('SIGKILL'), CHECK_MS)
  const splitter = new LineSplitter()
  child.stdout.on('data', (chunk: Buffer) => {
    try {
      for (const text of splitter.push(chunk)) take(JSON.parse(text) as CheckLine | CheckEnd | CheckSaid)
    } catch {
      child.kill('SIGKILL') // what is no line of the check's
    }
  })
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new CliError(`the check cannot be started: ${error.message}`, REPAIR)))
    child.once('close', () => clearTimeout(limit))
    child.once('close', () =>
      interrupted ? reject(new CliError('interrupted; nothing was left behind', '`kt check` starts again')) : resolve(),
    )
  })
}

function hasSudo(): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, 'sudo'), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
