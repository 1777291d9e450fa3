// `kt up`: starts the helper (by sudo where needed), shows its steps, returns when names and addresses work.
import { type ChildProcess, spawn } from 'node:child_process'
import { type Command, Option } from 'commander'
import { quietPipes } from '../../base/children.ts'
import { connectControl } from '../../control/client.ts'
import { LineSplitter } from '../../control/lines.ts'
import { controlSocket } from '../../control/paths.ts'
import type { Progress, UpConfig } from '../../control/protocol.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { bold, CliError, printProgress } from '../output.ts'
import { programFile } from '../programs.ts'
import { cidrs, oneOf } from './common.ts'
import { disconnect } from './down.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

interface UpOptions extends ShadowFlags {
  foreground?: boolean
  include?: string[]
  exclude?: string[]
  dns: UpConfig['dns']
  clusterDomain?: string
}

export function addUpCommand(program: Command): void {
  const command = program
    .command('up')
    .alias('connect')
    .description('connect: pods, services and names of the cluster work on this machine')
  withShadowOptions(command)
    .option('--foreground', 'stay here until Ctrl-C')
    .option('--include <cidr>', 'capture this range too (repeatable; the longest prefix wins)', cidrs)
    .option('--exclude <cidr>', 'leave this range alone (repeatable)', cidrs)
    .addOption(
      new Option('--dns <mode>', 'auto, resolved, resolvconf or none')
        .default('auto' as const)
        .argParser(oneOf('auto', 'resolved', 'resolvconf', 'none')),
    )
    .option('--cluster-domain <domain>', "the cluster's DNS domain (default: what its pods are told)")
    .action(up)
}

async function up(options: UpOptions): Promise<void> {
  const caller = whoCalls()
  const config = configOf(options, caller)
  const { client: running } = await connectControl(controlSocket(caller.uid))
  if (running) {
    try {
      const { kubeconfig, context, namespace, env } = config
      const { same, wanted, current } = await running.request('same', { kubeconfig, context, namespace, env })
      if (!same)
        throw new CliError(
          `already connected to ${current}; ${wanted} was asked for`,
          '`kt down` disconnects; then `kt up` again',
        )
      process.stderr.write(`already connected to ${current}\n`)
    } finally {
      running.close()
    }
    return
  }
  const summary = await runHelper(caller, config)
  process.stderr.write(`${bold(process.stderr, summary)}\n`)
  if (options.foreground) await holdForeground(caller)
}

function configOf(options: UpOptions, caller: Caller): UpConfig {
  return {
    ...shadowConfig(options, caller),
    include: options.include ?? [],
    exclude: options.exclude ?? [],
    dns: options.dns,
    clusterDomain: options.clusterDomain?.replace(/\.$/, '').toLowerCase(),
  }
}

// The helper does little: without the optimizing compilers it takes 3 MB less.
const HELPER_NODE_OPTIONS = ['--lite-mode']

/** Lines of the helper: steps, then one of the two ends. */
type HelperLine =
  | ({ type: 'progress' } & Progress)
  | { type: 'ready'; message: string }
  | { type: 'failed'; code: string; message: string; hint: string }

/** Starts the helper and shows its lines. Resolves to the last one's words when connected. */
async function runHelper(caller: Caller, config: UpConfig): Promise<string> {
  const helper = [
    process.execPath,
    ...HELPER_NODE_OPTIONS,
    programFile('helper'),
    'up',
    '--uid',
    String(caller.uid),
    '--gid',
    String(caller.gid),
    '--user',
    caller.name,
  ]
  // sudo stays while what it started runs; setsid --fork lets it go, and frees the helper of this terminal.
  const command = caller.root ? helper : ['sudo', '--', 'setsid', '--fork', ...helper]
  const child: ChildProcess = spawn(command[0], command.slice(1), {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: caller.root,
    env: caller.root ? helperEnvironment() : process.env,
  })
  quietPipes(child)
  const failedToStart = new Promise<never>((_, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' && !caller.root
          ? new CliError('kt needs root for its network device, and there is no sudo', 'run `kt up` as root')
          : new CliError(`the helper cannot be started: ${error.message}`, 'run ./dev setup again'),
      ),
    )
  })
  // Node closes a child's input when the child ends, and sudo ends as soon as setsid has let the helper go: the pipe,
  // whose end tells the helper to give up, is kept by ourselves.
  const input = child.stdin!
  child.stdin = null
  input.on('error', () => {}) // the helper's end is seen on its output
  input.write(`${JSON.stringify(config)}\n`)

  let interrupted = false
  const interrupt = () => {
    interrupted = true
    input.end() // the end of its input tells the helper to undo everything
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    return await Promise.race([lastWords(child.stdout!, () => interrupted), failedToStart])
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    input.destroy()
    child.stdout!.destroy()
    child.unref()
  }
}

async function lastWords(output: NodeJS.ReadableStream, interrupted: () => boolean): Promise<string> {
  const splitter = new LineSplitter()
  for await (const chunk of output) {
    for (const text of splitter.push(chunk as Buffer)) {
      const line = JSON.parse(text) as HelperLine
      if (line.type === 'progress') printProgress(line)
      else if (line.type === 'ready') return line.message
      else if (line.type === 'failed' && !interrupted()) throw new CliError(line.message, line.hint)
    }
  }
  if (interrupted()) throw new CliError('interrupted; nothing was left behind', '`kt up` starts again')
  throw new CliError(
    'the helper ended before kt was connected',
    '`kt logs` may say why; without sudo rights for this, ask for `sudo kt up`',
  )
}

/** Root runs the helper: nothing of the caller's environment that Node would act on goes along. */
function helperEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  for (const name of [
    'NODE_OPTIONS',
    'NODE_PATH',
    'NODE_EXTRA_CA_CERTS',
    'NODE_REPL_EXTERNAL_MODULE',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
  ])
    delete env[name]
  return env
}

/** Stays until Ctrl-C, SIGTERM, or the end of the engine. */
async function holdForeground(caller: Caller): Promise<void> {
  process.stderr.write('Ctrl-C disconnects\n')
  await new Promise<void>((settle) => {
    process.once('SIGINT', settle)
    process.once('SIGTERM', settle)
    process.once('SIGHUP', settle)
  })
  await disconnect(caller)
}
