// A kt that runs and a command of another version: what a person is told, and what becomes of an error that comes of it.
import { visible } from '../base/visible.ts'
import { type ControlClient, ControlFailure } from '../control/client.ts'
import { VERSION } from '../control/version.ts'
import { CliError, printProgress } from './output.ts'

const CHANGE_OVER = '`kt down`, then `kt up` again, changes over'

/** How the two differ. */
export interface OtherVersion {
  /** One line: both versions, what works, what to do. */
  words: string
  /** An error that comes of the difference, as it is told; any other error as it is. */
  explain(error: unknown): unknown
}

/** Undefined if both are of one version. `there` is undefined if the kt that runs is older than the question. */
export function otherVersion(there: string | undefined, here: string = VERSION): OtherVersion | undefined {
  if (there === here) return undefined
  const order = there === undefined ? -1 : compare(there, here)
  const age = order < 0 ? 'an older kt' : order > 0 ? 'a newer kt' : 'another kt'
  const running = there === undefined ? age : `kt ${visible(there)}`
  const words = there === undefined ? `${age} runs than` : `${running} runs, ${age} than`
  return {
    words: `${words} this command (${here}): status, down and leave work, the rest may not; ${CHANGE_OVER}`,
    explain: (error) =>
      isMisfit(error)
        ? new CliError(`${running} runs, and does not understand this command (${here})`, CHANGE_OVER)
        : error,
  }
}

/**
 * Runs `use` with an engine of any version. Afterwards a person is told of another version, except where `use` says that
 * it has ended that engine.
 */
export async function besideAnyVersion<T>(
  engine: ControlClient,
  use: () => Promise<T>,
  still: (result: T) => boolean = () => true,
): Promise<T> {
  const other = otherVersion(await engine.version())
  try {
    const result = await use()
    if (other && still(result)) printProgress({ step: 'version', state: 'note', detail: other.words, ms: 0 })
    return result
  } catch (error) {
    throw other ? other.explain(error) : error
  }
}

/** A question that the other does not know, or an answer in which this command misses something. */
function isMisfit(error: unknown): boolean {
  if (error instanceof ControlFailure) return ['version', 'unknown-operation', 'bad-request'].includes(error.code)
  return error instanceof TypeError
}

/** By major, minor and patch; what follows them is not compared. */
function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((text) => text.split(/[.+-]/).slice(0, 3).map(Number))
  for (const [i, number] of x.entries()) if (number !== y[i]) return number < y[i] ? -1 : 1
  return 0
}
