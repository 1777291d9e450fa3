// `kt exchange` and `kt run`: requests of the cluster come to programs of this machine, until Ctrl-C or `kt leave`.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { visible } from '../../base/visible.ts'
import type { ExposedPort, InboundConfig, PlaceWish } from '../../control/holder.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { chooseTarget } from '../choose-target.ts'
import { withChosen } from '../follow-up.ts'
import { hold } from '../holder.ts'
import { CliError, EXIT } from '../output.ts'
import { PlainProgram, type Program } from '../program.ts'
import { type RequestFormat, requestPrinter } from '../requests.ts'
import { ShellProgram } from '../shell-program.ts'
import { prefixLines } from '../terminal.ts'
import { oneOf } from './common.ts'
import { exposedPorts, portNumber } from './expose.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

export interface InboundFlags extends ShadowFlags {
  expose?: ExposedPort[]
  background?: boolean
  proxyProtocol?: InboundConfig['proxyProtocol']
  check: boolean
  fallback: boolean
  /** True without a format, which means `text`. */
  log?: RequestFormat | true
  /** Bytes of each body; true without a number. */
  logBodies?: number | true
  like?: string
  container?: string
  env: boolean
  files: boolean
  shell?: boolean
}

interface ExchangeFlags extends InboundFlags {
  mode: InboundConfig['mode']
  force?: boolean
}

interface RunFlags extends InboundFlags {
  port?: number
}

/** Of each body that `--log-bodies` shows. */
const BODY_BYTES = 4096
const MOST_BODY_BYTES = 65_536

/** Of the argument after `--`. */
export const COMMAND =
  'after --: a program to run meanwhile, with the environment and files of a container; when it ends, the command ends'

export function addExchangeCommand(program: Command): void {
  const command = program
    .command('exchange')
    .description('requests of the cluster to a Service, Deployment or Pod come here; needs no root')
    .argument('[target]', '[service/|deployment/|statefulset/|pod/]NAME; without it, you choose')
    .argument('[command...]', COMMAND)
  withBackOptions(withShadowOptions(command, { agentOnly: true }))
    .addOption(
      new Option('--mode <mode>', 'selector: the Service leads here; scale: the workload is scaled to 0 meanwhile')
        .default('selector' as const)
        .argParser(oneOf('selector', 'scale')),
    )
    .option('--force', 'take over what somebody else holds; with --mode scale also leave ports without anybody')
    .action(async (target: string | undefined, words: string[], options: ExchangeFlags) => {
      const { mode, force = false } = options
      const chosen = await targetOf('exchange', target, words, options)
      await start('exchange', chosen.target, chosen.ports, { mode, force }, options, chosen.words)
    })
}

export function addRunCommand(program: Command): void {
  const command = program
    .command('run')
    .alias('preview')
    .description('a new Service in the cluster that leads here; needs no root')
    .argument('<name>', 'name of the new Service', serviceName)
    .argument('[command...]', COMMAND)
    .option('--port <port>', 'the port of the Service and of your program', (text) => portNumber(text))
  withBackOptions(withShadowOptions(command, { agentOnly: true })).action(
    async (name: string, words: string[], options: RunFlags) => {
      const { port } = options
      const ports = port === undefined ? (options.expose ?? []) : exposedPorts(String(port), options.expose)
      const named = ports.find((one) => one.name !== undefined)
      if (named)
        throw new CliError(
          `a new Service has no port ${named.name} yet`,
          `give its number: --expose ${named.local}:NUMBER`,
          EXIT.usage,
        )
      await start('run', name, ports, { mode: 'selector', force: false }, options, words)
    },
  )
}

function bodyBytes(text: string): number {
  const bytes = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (bytes >= 1 && bytes <= MOST_BODY_BYTES) return bytes
  throw new InvalidArgumentError(`expected a number of bytes, ${MOST_BODY_BYTES} at most.`)
}

function serviceName(text: string): string {
  // Kubernetes takes a label of RFC 1035 3.1; better told before anything is asked of the cluster.
  if (/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text
  throw new InvalidArgumentError('expected small letters, digits and dashes, 63 at most, a letter first.')
}

export function withBackOptions(command: Command): Command {
  return command
    .option(
      '--expose <ports>',
      'LOCAL[:REMOTE]: LOCAL is a port of this machine, REMOTE the port of the Service (number or name); several with commas; /udp for UDP',
      exposedPorts,
    )
    .option('--background', 'return when it works; `kt leave` ends it')
    .addOption(
      new Option('--proxy-protocol <version>', 'tell the local program who connected: v1 or v2').argParser(
        oneOf('v1', 'v2'),
      ),
    )
    .option(
      '--no-fallback',
      'refuse what your program does not answer in 3 s, instead of leaving it to the original pods',
    )
    .addOption(
      new Option(
        '--log [format]',
        'print one line for each request; json: one object for each (write it after TARGET, or as --log=json)',
      ).argParser(oneOf('text', 'json')),
    )
    .addOption(
      new Option(
        '--log-bodies [bytes]',
        `as --log, with the beginning of each body (default: ${BODY_BYTES} bytes)`,
      ).argParser(bodyBytes),
    )
    .option('--no-check', 'begin although nothing listens on the local ports yet')
    .option('--like <target>', 'with a program: whose environment and files it gets (default: those of TARGET)')
    .option('-c, --container <name>', 'with a program: the container (default: the one that serves the Service)')
    .option('--no-env', "with a program: leave its environment as this terminal's")
    .option('--no-files', "with a program: without the container's files")
    .option('--shell', "with a program: in a network of its own that has the cluster's, and files at their own paths")
}

/** What is to be exchanged or meshed, as given or as a person chooses, and the program to run meanwhile. */
export async function targetOf(
  kind: 'exchange' | 'mesh',
  first: string | undefined,
  others: string[],
  options: InboundFlags,
): Promise<{ target: string; ports: ExposedPort[]; words: string[] }> {
  // commander takes the first word for TARGET, also where it is the program's, behind --.
  if (first !== undefined && process.argv.at(-others.length - 2) !== '--')
    return { target: first, ports: options.expose ?? [], words: others }
  const words = first === undefined ? [] : [first, ...others]
  return { ...(await chooseTarget(kind, options, words.length > 0)), words }
}

export async function start(
  kind: InboundConfig['kind'],
  target: string,
  ports: ExposedPort[],
  how: Pick<InboundConfig, 'mode' | 'force' | 'mesh'>,
  options: InboundFlags,
  words: string[],
): Promise<void> {
  const caller = whoCalls()
  const shell = options.shell ? { name: `${kind}-${process.pid}`, command: words } : undefined
  const program = programOf(words, options, caller, shell?.name)
  // Of a new Service nobody knows what it is to be like.
  const like = options.like ?? (kind === 'run' ? undefined : target)
  const place = program && like ? placeWish(like, options) : undefined
  if (ports.length === 0 && !place)
    throw new CliError(
      `kt ${kind} needs to know which port of this machine answers`,
      kind === 'run' ? 'add --port PORT, or --expose LOCAL:REMOTE' : 'add --expose LOCAL[:REMOTE], like 8080:80',
      EXIT.usage,
    )
  if (options.shadow !== 'agent')
    throw new CliError(
      `kt ${kind} needs kt's own agent in the shadow: an OpenSSH server cannot serve ports there`,
      'leave --shadow out',
      EXIT.usage,
    )
  const { background = false, proxyProtocol, check, fallback } = options
  const logBodies = options.logBodies === true ? BODY_BYTES : options.logBodies
  const log = options.log === true || (options.log === undefined && logBodies !== undefined) ? 'text' : options.log
  if (background && log)
    throw new CliError(
      `${options.log ? '--log' : '--log-bodies'} prints to the terminal, which --background gives back`,
      'leave one of them out; `kt dashboard` shows the requests of both',
      EXIT.usage,
    )
  const config = {
    ...shadowConfig(options, caller),
    kind,
    target,
    ...how,
    ports,
    proxyProtocol,
    check: check && !program,
    fallback,
    background,
    log: log !== undefined,
    bodies: logBodies,
    place,
    shell,
  }
  if (program) prefixLines(process.stderr, 'kt: ')
  const exitCode = await hold(config, caller, {
    ending: (name) =>
      background
        ? `${withChosen(`\`kt leave ${name ?? target}\``, { namespace: options.namespace })} ends it and puts everything back.`
        : program
          ? `It ends with ${program.name}.`
          : 'Ctrl-C ends it and puts everything back.',
    background,
    program,
    ...(log && { onRequest: requestPrinter(log, program ? process.stderr : process.stdout) }),
  })
  if (exitCode !== undefined) process.exitCode = exitCode
}

/** Undefined without words. Throws CliError for what does not fit together. */
function programOf(
  words: string[],
  options: InboundFlags,
  caller: Caller,
  shell: string | undefined,
): Program | undefined {
  const [first, ...rest] = words
  const usage = (message: string, hint: string) => new CliError(message, hint, EXIT.usage)
  if (first === undefined) {
    const flag = options.like
      ? '--like'
      : options.container
        ? '--container'
        : !options.env
          ? '--no-env'
          : !options.files
            ? '--no-files'
            : options.shell
              ? '--shell'
              : undefined
    if (flag) throw usage(`${flag} is about a program that kt runs`, 'add it after --, like -- npm run dev')
    return undefined
  }
  // commander takes words before -- and after it alike.
  if (process.argv.slice(-words.length - 1)[0] !== '--')
    throw usage(`too many arguments: ${visible(words.join(' '))}`, 'a program to run comes after --')
  if (options.background)
    throw usage('--background gives the terminal back, which a program needs', 'leave one of them out')
  const all: [string, ...string[]] = [first, ...rest]
  return shell === undefined ? new PlainProgram(all, caller) : new ShellProgram(all, caller, shell)
}

function placeWish(target: string, { container, env, files }: InboundFlags): PlaceWish {
  return { target, container, environment: env, files }
}
