// The command line: parses, calls one function a command, turns errors into two lines and an exit code.
import { type Command, CommanderError } from 'commander'
import { ControlFailure } from '../control/client.ts'
import { commandLine } from './command-line.ts'
import { heedConfiguration } from './config/apply.ts'
import { pathOf } from './config/keys.ts'
import { type Chosen, withChosen } from './follow-up.ts'
import { hintFor } from './other-tools.ts'
import { CliError, EXIT, printError } from './output.ts'
import { ownName } from './self.ts'
import { guardStream } from './terminal.ts'

// As a plugin of kubectl it is called otherwise, which its usage says, too.
const typed = ownName()
const program = commandLine(typed.startsWith('kubectl ') ? typed : 'kt')
  .exitOverride()
  .configureOutput({
    outputError: (text) => printError(plain(text), hintFor(text)),
  })
  .showHelpAfterError(false)
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
  command.configureOutput({
    outputError: (text) => printError(plain(text), hintFor(text, pathOf(command).replaceAll('.', ' '))),
  })
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
