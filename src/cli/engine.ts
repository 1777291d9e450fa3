// Finding the caller's engine.
import { type ControlClient, connectControl } from '../control/client.ts'
import { controlSocket } from '../control/paths.ts'
import { whoCalls } from './caller.ts'
import { besideAnyVersion } from './other-version.ts'
import { CliError, EXIT } from './output.ts'
import { tracesOf } from './traces.ts'

/** Runs `use` with the caller's engine; fails with exit code 3 when none runs. Says so if that is of another version. */
export async function withEngine<T>(use: (engine: ControlClient) => Promise<T>): Promise<T> {
  const { client, stale } = await connectControl(controlSocket(whoCalls().uid))
  if (!client) throw notConnected(stale)
  try {
    return await besideAnyVersion(client, () => use(client))
  } finally {
    client.close()
  }
}

/** Says the truth also when the socket, or all of /run/kt, has been removed. */
export function notConnected(stale: boolean): CliError {
  return stale || tracesOf(whoCalls().uid).length > 0
    ? new CliError(
        'not connected: kt was killed, or cannot be reached any more, and its settings are still on this machine',
        '`kt down` puts the machine back; `kt up` does so and connects',
        EXIT.notConnected,
      )
    : new CliError('not connected', '`kt up` connects', EXIT.notConnected)
}
