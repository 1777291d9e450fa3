// Asks the holders of this user, again and again, what they hold and which requests came since the look before. The first
// question makes a holder read requests at all.
import { askHolders } from '../control/holders.ts'
import type { Held } from '../control/protocol.ts'
import type { RequestRow } from './model.ts'

export interface HolderLook {
  held: Held[]
  /** Newest last. */
  entries: RequestRow[]
  /** Open connections that are not read. */
  unread: number
  /** Sentences: what could not be read. */
  notes: string[]
  /** Whether the beginnings of bodies are asked for. */
  bodies: boolean
}

export class HolderLooks {
  readonly #user: { uid: number; env: NodeJS.ProcessEnv }
  /** By the holder's process: the number of the request seen last. */
  #seen = new Map<number, number>()
  /** Whether the holders are asked for the beginnings of bodies; only while a person wants to see them. */
  bodies = false

  constructor(user: { uid: number; env: NodeJS.ProcessEnv }) {
    this.#user = user
  }

  async look(): Promise<HolderLook> {
    const { holders } = await askHolders(this.#user.uid, this.#user.env)
    const look: HolderLook = {
      held: holders.map(({ held }) => held),
      entries: [],
      unread: 0,
      notes: [],
      bodies: this.bodies,
    }
    const seen = new Map<number, number>()
    await Promise.all(
      holders.map(async ({ held, client }) => {
        const { pid, target, namespace } = held
        const since = this.#seen.get(pid) ?? 0
        seen.set(pid, since)
        try {
          const { entries, unread, notes } = await client.request('requests', {
            since,
            ...(this.bodies && { bodies: true }),
          })
          for (const entry of entries) look.entries.push({ ...entry, key: `${pid} ${entry.seq}`, target, namespace })
          seen.set(pid, entries.at(-1)?.seq ?? since)
          look.unread += unread
          look.notes.push(...notes.map((note) => `${target}: ${note}`))
        } catch {
          // A holder of an older kt, or one that is ending.
        } finally {
          client.close()
        }
      }),
    )
    this.#seen = seen
    look.entries.sort((a, b) => Date.parse(a.at) + a.ms - Date.parse(b.at) - b.ms)
    return look
  }
}
