// The engine's side of the channel to the root helper: declarative requests out, events in. Over Node's IPC channel,
// which the helper opened and which ends with it.
import { ToldError } from '../base/told-error.ts'
import type { AppliedState, DesiredState } from '../host/desired.ts'
import type { Fault } from '../host/fault.ts'
import { type HelperAnswer, type HelperEvent, HelperMessage, type HelperRequest } from './helper/protocol.ts'

/** What the helper tells after the configuration. */
export type HostEvent = Exclude<HelperEvent, { event: 'config' }>

export interface HostClient {
  /** Makes the machine so. Rejects with `code` and `hint` set; then nothing of it is left. */
  apply(state: DesiredState): Promise<AppliedState>
  /** Resolves to the domains that systemd-resolved did not take. */
  updateDns(dns: DesiredState['dns']): Promise<string[]>
  /** Looks at the machine now; what can be put back is. Resolves to what is not as it should be. */
  look(): Promise<Fault[]>
  undo(): Promise<void>
  /** A line for the person who typed `kt up`. */
  report(line: object): void
}

/** A request without its id, which is given to it when it is sent. */
type Asked = HelperRequest extends infer One ? (One extends HelperRequest ? Omit<One, 'id'> : never) : never

/** The helper gives each of its commands 10 s, and an `apply` has some. Leaving has a deadline of its own. */
const ANSWER_MS = 40_000

const failed = (id: number, code: string, message: string): HelperAnswer => ({
  id,
  ok: false,
  error: { code, message, hint: '`kt down` puts the machine back' },
})
const gone = (id: number) => failed(id, 'helper-gone', "kt's helper is gone")
const silent = (id: number) => failed(id, 'helper-silent', `kt's helper (process ${process.ppid}) does not answer`)

/** Speaks to the helper this process was started by. `onGone`: the helper died, the machine will not be undone by it. */
export function connectHelper(onEvent: (event: HostEvent) => void, onGone: () => void): HostClient {
  if (!process.send) throw new Error('the engine is started by the helper only')
  const waiting = new Map<number, { resolve(a: HelperAnswer): void }>()
  let nextId = 1
  process.on('message', (received) => {
    const { data: message } = HelperMessage.safeParse(received)
    if (!message) return // the question that it was to answer has its limit
    if ('event' in message) {
      if (message.event !== 'config') onEvent(message)
      return
    }
    waiting.get(message.id)?.resolve(message)
    waiting.delete(message.id)
  })
  process.on('disconnect', () => {
    for (const [id, { resolve }] of waiting) resolve(gone(id))
    waiting.clear()
    onGone()
  })
  const ask = async (request: Asked): Promise<HelperAnswer & { ok: true }> => {
    const id = nextId++
    const answer = await new Promise<HelperAnswer>((resolve) => {
      const timer = setTimeout(() => {
        waiting.delete(id)
        resolve(silent(id))
      }, ANSWER_MS)
      const answered = (answer: HelperAnswer) => {
        clearTimeout(timer)
        resolve(answer)
      }
      waiting.set(id, { resolve: answered })
      if (process.connected) process.send!({ id, ...request }, undefined, undefined, () => {})
      else answered(gone(id))
    })
    if (!answer.ok) throw new ToldError(answer.error.code, answer.error.message, answer.error.hint)
    return answer
  }
  return {
    apply: async (state) => (await ask({ op: 'apply', state })).applied!,
    updateDns: async (dns) => (await ask({ op: 'updateDns', dns })).domainsLeftOut ?? [],
    look: async () => (await ask({ op: 'look' })).faults ?? [],
    undo: async () => void (await ask({ op: 'undo' })),
    report: (line) => {
      if (process.connected) process.send!(line, undefined, undefined, () => {})
    },
  }
}
