// A call through the helper's socket, which members of a group may open without being root. Who calls is what the kernel says
// of the socket, and nothing else: the helper starts an engine as that user, and ends and undoes that user's kt.
import { HelperCall, OTHER_PROGRAM, TAKEN } from '../../control/helper-call.ts'
import { VERSION } from '../../control/version.ts'
import type { UndoReport } from '../../host/journal.ts'
import { accountOf } from './account.ts'
import { HelperError, toFailure } from './errors.ts'
import { type HelperDeps, runUp } from './up.ts'

export interface ServeDeps extends HelperDeps {
  /** The user at the other end, as the kernel has it. Throws. */
  peer(): number
  /** What a person starts as this kt. */
  program: string
  /** Ends the user's kt, and undoes what dead helpers left. */
  undo(uid: number): Promise<UndoReport>
}

/** Whoever opens the socket and says nothing holds one of few places. */
const CALL_MS = 10_000

/** Serves it to its end. Resolves to the exit code. */
export async function serveCall(deps: ServeDeps): Promise<number> {
  const { caller, effects, log } = deps
  try {
    const uid = deps.peer()
    const call = await takeCall(deps)
    log(`user ${uid} calls: ${call.op}`)
    if (call.op === 'hello') {
      caller.tell(TAKEN)
      return 0
    }
    if (call.op === 'undo') {
      caller.tell(TAKEN)
      caller.tell({ type: 'undone', ...(await deps.undo(uid)) })
      return 0
    }
    const { gid, name: user } = await accountOf(uid, effects)
    caller.tell(TAKEN)
    return await runUp({ command: 'up', uid, gid, user, foreground: call.foreground, log: undefined }, deps)
  } catch (error) {
    const failure = toFailure(error)
    log(`failed: ${failure.message}`)
    caller.tell({ type: 'failed', ...failure })
    return 1
  }
}

/** The call, when all that belongs to it has come. Rejects with HelperError. */
async function takeCall({ caller, clock, program }: ServeDeps): Promise<HelperCall> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const cancel = clock.after(CALL_MS, () =>
    reject(new HelperError('config', 'nothing was asked for in time', 'start kt with `kt up`')),
  )
  try {
    const text = await Promise.race([caller.call(), late])
    const call = HelperCall.safeParse(parsed(text))
    const { program: theirs, version } = (parsed(text) ?? {}) as Record<string, unknown>
    // Before the schema: another version may ask for what this one does not know.
    if (theirs !== program || version !== VERSION)
      throw new HelperError(OTHER_PROGRAM, `the helper is that of ${program} ${VERSION}`, `run ${program}`)
    if (!call.success)
      throw new HelperError(
        'bad-request',
        'the helper does not take this call',
        'this is a mistake of kt; please report it',
      )
    if (call.data.op === 'up') await Promise.race([caller.config(), late])
    return call.data
  } finally {
    cancel()
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
