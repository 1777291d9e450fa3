// Finding the caller's engine.
import { type ControlClient, connectControl } from '../control/client.ts'
import { controlSocket } from '../control/paths.ts'
import { whoCalls } from './caller.ts'
import { CliError, EXIT } from './output.ts'

/** Runs `use` with the caller's engine; fails with exit code 3 when none runs. */
export async function withEngine<T>(use: (engine: ControlClient) => Promise<T>): Promise<T> {
  const { client, stale } = await connectControl(controlSocket(whoCalls().uid))
  if (!client) throw notConnected(stale)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

export function notConnected(stale: boolean): CliError {
  return stale
    ? new CliError(
        'not connected: kt was killed and left its settings behind',
        '`sudo kt down` puts the machine back; `sudo kt up` does so and connects',
        EXIT.notConnected,
      )
    : new CliError('not connected', '`sudo kt up` connects', EXIT.notConnected)
}
