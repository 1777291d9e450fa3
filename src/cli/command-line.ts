// The commands of kt with their flags and texts, and nothing that runs by itself: the command line parses by it, and the manual
// pages of packages are written from it.
import { Command } from 'commander'
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

/** All of kt, under the name that it was called by. */
export function commandLine(name = 'kt'): Command {
  const program = new Command(name)
    .description("Your machine in a Kubernetes cluster's network: pods, services and DNS names from this machine.")
    .version(VERSION, '-V, --version')
    .option('-n, --namespace <name>', 'namespace that short names are looked up in')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig to use')
    .option('--profile <name>', 'profile of `kt config` whose defaults to use')
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
  return program
}
