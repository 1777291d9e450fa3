// Remembers on disk what lies before each cluster's API server. Nothing in it is secret. It is a help only: a file that
// cannot be read or written is as good as none.
import { renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import * as z from 'zod/mini'
import { makeFolders } from '../base/make-folders.ts'
import { readSmallFile } from '../base/small-file.ts'
import type { DoorMemory, DoorNotes } from '../tunnel/index.ts'

const MOST_BYTES = 256 * 1024
/** The ones used last are kept. */
const MOST_DOORS = 200
/** A gateway may have been replaced since: then everything is tried again. */
const FORGET_MS = 7 * 24 * 3_600_000

const fileSchema = z.record(
  z.string(),
  z.object({
    way: z.optional(z.enum(['spdy', 'websocket'])),
    lifetimeMs: z.optional(z.number().check(z.positive())),
    /** ISO 8601. */
    since: z.iso.datetime(),
  }),
)

/** Notes in `file`, made when there is something to note. `wall`: the time of day in ms. */
export function frontDoorNotes(file: string, wall: () => number): DoorMemory {
  const read = (): z.infer<typeof fileSchema> => {
    try {
      const text = readSmallFile(file, MOST_BYTES)?.toString() ?? '{}'
      return fileSchema.parse(JSON.parse(text))
    } catch {
      return {}
    }
  }
  return {
    recall: (door): DoorNotes => {
      const notes = read()
      const found = Object.hasOwn(notes, door) ? notes[door] : undefined
      if (!found || wall() - Date.parse(found.since) > FORGET_MS) return {}
      return { way: found.way, lifetimeMs: found.lifetimeMs }
    },
    note: (door, notes) => {
      const { [door]: _, ...others } = read()
      const kept = Object.entries(others).slice(1 - MOST_DOORS)
      const all = Object.fromEntries([...kept, [door, { ...notes, since: new Date(wall()).toISOString() }]])
      const fresh = `${file}.${process.pid}`
      try {
        makeFolders(dirname(file), 0o700)
        writeFileSync(fresh, `${JSON.stringify(all, undefined, 2)}\n`, { mode: 0o600 })
        renameSync(fresh, file)
      } catch {
        // It is learned again.
      }
    },
  }
}
