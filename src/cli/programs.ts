// How the command line starts the programs that do the work.
import { MissingPartError, type ProgramName, programArguments } from '../base/installation.ts'
import { CliError } from './output.ts'

/** What follows `process.execPath` to start the program. Throws CliError. */
export function programCommand(name: ProgramName, nodeOptions: readonly string[] = QUIET): string[] {
  try {
    return programArguments(name, nodeOptions)
  } catch (error) {
    if (error instanceof MissingPartError) throw new CliError(error.message, error.hint)
    throw error
  }
}

const QUIET = ['--disable-warning=ExperimentalWarning']
