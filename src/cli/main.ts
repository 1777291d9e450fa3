// The command line: parses, calls one function a command, turns errors into two lines and an exit code.
import { Command, CommanderError } from 'commander'
import { ControlFailure } from '../control/client.ts'
import { VERSION } from '../control/version.ts'
import { addCheckCommand } from './commands/check.ts'
import { addCompletionCommands } from './commands/completion.ts'
import { addConfigCommands } from './commands/config.ts'
import { addDashboardCommand } from './commands/dashboard.ts'
import { addDnsCommands } from './commands/dns.ts'
import { addDownCommand } from './commands/down.ts'
import { addEnvCommand } from './commands/env.ts'
import { addExchangeCommand, addRunCommand } from './commands/exchange.ts'
import { addFilesCommand } from './commands/files.ts'
import { addFlowsCommand } from './commands/flows.ts'
import { addForwardCommand } from './commands/forward.ts'
import { addHelpCommand } from './commands/help.ts'
import { addLeaveCommand } from './commands/leave.ts'
import { addListCommand } from './commands/list.ts'
import { addLogsCommand } from './commands/logs.ts'
import { addMeshCommand } from './commands/mesh.ts'
import { addMetricsCommand } from './commands/metrics.ts'
import { addProxyCommand } from './commands/proxy.ts'
import { addCleanCommand, addRecoverCommand } from './commands/recover.ts'
import { addShellCommand } from './commands/shell.ts'
import { addStatusCommand } from './commands/status.ts'
import { addUpCommand } from './commands/up.ts'
import { addVersionCommand } from './commands/version.ts'
import { heedConfiguration } from './config/apply.ts'
import { type Chosen, withChosen } from './follow-up.ts'
import { hintFor } from './other-tools.ts'
import { CliError, EXIT, printError } from './output.ts'
import { ownName } from './self.ts'
import { guardStream } from './terminal.ts'

// As a plugin of kubectl it is called otherwise, which its usage says, too.
const typed = ownName()
const program = new Command(typed.startsWith('kubectl ') ? typed : 'kt')
  .description("Your machine in a Kubernetes cluster's network: pods, services and DNS names from this machine.")
  .version(VERSION, '-V, --version')
  .option('-n, --namespace <name>', 'namespace that short names are looked up in')
  .option('--context <name>', 'context of the kubeconfig')
  .option('--kubeconfig <file>', 'kubeconfig to use')
  .option('--profile <name>', 'profile of `kt config` whose defaults to use')
  .exitOverride()
  .configureOutput({
    outputError: (text) => printError(plain(text), hintFor(text)),
  })
  .showHelpAfterError(false)
  .enablePositionalOptions()

addUpCommand(program)
addDownCommand(program)
addStatusCommand(program)
addExchangeCommand(program)
addMeshCommand(program)
addRunCommand(program)
addForwardCommand(program)
addEnvCommand(program)
addFilesCommand(program)
addListCommand(program)
addProxyCommand(program)
addShellCommand(program)
addLeaveCommand(program)
addRecoverCommand(program)
addCleanCommand(program)
addDnsCommands(program)
addDashboardCommand(program)
addFlowsCommand(program)
addMetricsCommand(program)
addLogsCommand(program)
addCheckCommand(program)
addVersionCommand(program)
addConfigCommands(program)
addCompletionCommands(program)
addHelpCommand(program)
heedConfiguration(program)
let chosen: Chosen = {}
program.hook('preAction', (_, command) => {
  chosen = command.optsWithGlobals<Chosen>()
})
for (const command of program.commands) inherit(command)

/** commander's words in our form: `option '--dns <mode>' argument 'x' is invalid: expected one of auto, none`. */
function plain(text: string): string {
  const words = text
    .replace(/^error: /, '')
    .trim()
    .replace(' is invalid. ', ' is invalid: ')
  return words.replace(/\.$/, '')
}

/** Exit codes and error output of the program hold for its commands, however deep. */
function inherit(command: Command): void {
  command.copyInheritedSettings(program)
  for (const child of command.commands) inherit(child)
}

guardStream(process.stdout, (error) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done) // `kt status | head -1`
  printError(`the output cannot be written: ${error.message}`, 'is the disk full, or the terminal gone?')
  process.exit(EXIT.failed)
})
// Whoever read our errors has gone; what the command does goes on.
guardStream(process.stderr, () => {})

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version end the same way; their exit code is 0. A bare `kt` shows help on stderr.
    return error.exitCode === 0 ? EXIT.done : EXIT.usage
  }
  if (error instanceof CliError) {
    printError(error.message, withChosen(error.hint, chosen))
    return error.exitCode
  }
  if (error instanceof ControlFailure) {
    printError(error.message, withChosen(error.hint, chosen))
    return error.code === 'usage' ? EXIT.usage : EXIT.failed
  }
  if (process.env['KT_LOG'] === 'debug') console.error(error)
  printError(
    `unexpected: ${(error as Error)?.message ?? error}`,
    'this is a mistake in kt; KT_LOG=debug shows where. Please report it',
  )
  return EXIT.failed
}
