// When the process that holds an exchange, mesh or run ends unexpectedly, the command that waits for it puts back what it left.
import { rmSync } from 'node:fs'
import type { InboundConfig, TaskConfig } from '../control/holder.ts'
import type { ProgramPlace } from '../control/place.ts'
import { CliError } from './output.ts'
import { asTyped } from './self.ts'

/** Resolves to what is to be told in the end. `run` runs a task. */
export async function putBackLost(
  config: InboundConfig,
  place: ProgramPlace | undefined,
  run: (task: TaskConfig) => Promise<unknown>,
): Promise<CliError> {
  const { target, namespace } = config
  process.stderr.write(`the process that holds ${target} has ended unexpectedly; what it left is put back\n`)
  // The files may be secret.
  if (place?.root) rmSync(place.root, { recursive: true, force: true })
  try {
    await run({ ...config, kind: 'recover', force: false })
    return new CliError(
      'the process that held it ended unexpectedly; everything of it is put back',
      '`kt logs` may say why; the same command starts again',
    )
  } catch (error) {
    const where = namespace ? ` -n ${namespace}` : ''
    return new CliError(
      `the process that held it ended unexpectedly, and what it left cannot be put back: ${(error as Error).message}`,
      asTyped(`\`kt clean${where}\` does it later`),
    )
  }
}
