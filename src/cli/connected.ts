// What this user's `kt up` is connected to, for commands that go to the cluster by themselves.
import { type ControlClient, connectControl } from '../control/client.ts'
import type { ShadowConfig } from '../control/config.ts'
import { controlSocket } from '../control/paths.ts'
import type { Caller } from './caller.ts'

// It answers from memory; one that hangs is as good as none.
const ANSWER_MS = 1_000

/** Undefined without one that is connected. Never rejects. */
export async function connectedHere(caller: Caller): Promise<ShadowConfig['connected']> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(resolve, ANSWER_MS, undefined)
  let engine: ControlClient | undefined
  try {
    engine = (await connectControl(controlSocket(caller.uid))).client
    const status = await Promise.race([engine?.request('status', {}), late])
    if (!status?.namespace) return undefined
    const { context, server, namespace } = status
    return { context, server, namespace }
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    engine?.close()
  }
}
