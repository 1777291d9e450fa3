// The undo journal: one file a user, in a folder only root may enter. A step's undo is on disk before the step is done,
// so what a killed helper leaves can be undone by the next one. A file whose writer lives is never touched by another.
import * as z from 'zod/mini'
import { describe, UndoAction } from './actions.ts'
import type { Effects } from './effects.ts'
import { HostError } from './errors.ts'
import { revert } from './execute.ts'

/** A process, told from a later one of the same number by when it started. */
const Owner = z.strictObject({
  pid: z.int(),
  /** Clock ticks since boot, field 22 of /proc/PID/stat (proc(5)). */
  started: z.string(),
  /** /proc/sys/kernel/random/boot_id */
  boot: z.string(),
})
export type Owner = z.infer<typeof Owner>

const Content = z.strictObject({
  version: z.literal(1),
  owner: Owner,
  /** In the order they were done. */
  steps: z.array(UndoAction),
})

export interface UndoReport {
  /** What was undone, in words, newest first. */
  undone: string[]
  /** What the user should know of it. */
  notes: string[]
  /** What could not be undone and stays in the journal. */
  failed: string[]
}

/** The owner a journal of process `pid` would have; undefined if there is no such process. */
export function ownerOf(pid: number, { files, paths }: Effects): Owner | undefined {
  const stat = files.read(`${paths.proc}/${pid}/stat`)
  if (stat === undefined) return undefined
  // The second field is a name in brackets that may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // proc(5): a zombie has ended; it waits to be noticed.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return { pid, started: fields[19], boot: files.read(`${paths.proc}/sys/kernel/random/boot_id`)?.trim() ?? '' }
}

/** Unique to one run of a helper; goes into resolv.conf's marker. */
export function ownerText({ pid, started }: Owner): string {
  return `${pid}-${started}`
}

export class Journal {
  readonly owner: Owner
  readonly #path: string
  readonly #effects: Effects
  #steps: UndoAction[] = []

  private constructor(path: string, owner: Owner, effects: Effects, steps: UndoAction[]) {
    this.#path = path
    this.owner = owner
    this.#effects = effects
    this.#steps = steps
  }

  /** The journal of this user's helper, process `pid`. Throws HostError 'already-running' if there is one that lives. */
  static create(uid: number, pid: number, effects: Effects): Journal {
    const owner = ownerOf(pid, effects)
    if (!owner) throw new HostError('journal', `process ${pid} is not in /proc`, 'mount /proc')
    effects.files.folder(effects.paths.state, 0o700, 0, 0)
    const journal = new Journal(journalPath(uid, effects), owner, effects, [])
    if (!effects.files.create(journal.#path, journal.#text()))
      throw new HostError(
        'already-running',
        'kt is already starting or running for this user',
        '`kt status` tells; `kt down` ends it',
      )
    return journal
  }

  get steps(): readonly UndoAction[] {
    return this.#steps
  }

  /** Writes down how to undo what is about to be done. */
  record(undo: UndoAction): void {
    this.#steps.push(undo)
    this.#save()
  }

  /** Changes a record whose step was done anew. */
  amend(old: UndoAction, undo: UndoAction): void {
    const at = this.#steps.indexOf(old)
    if (at < 0)
      throw new HostError('journal', 'there is no such record to change', 'this is a mistake in kt; please report it')
    this.#steps[at] = undo
    this.#save()
  }

  /** Undoes all records, newest first, down to the first `keep`. What fails stays recorded. */
  async undo(keep = 0): Promise<UndoReport> {
    const report: UndoReport = { undone: [], notes: [], failed: [] }
    const failed: UndoAction[] = []
    while (this.#steps.length > keep) {
      const step = this.#steps.at(-1)!
      try {
        const note = await revert(step, this.#effects)
        if (note) report.notes.push(note)
        else report.undone.push(oneLine(step))
      } catch (error) {
        failed.unshift(step)
        report.failed.push(`${oneLine(step)}: ${(error as Error).message}`)
      }
      this.#steps.pop()
    }
    this.#steps.push(...failed)
    this.#save()
    return report
  }

  /** Removes the file; for when nothing is left to undo. */
  close(): void {
    if (this.#steps.length === 0) this.#effects.files.remove(this.#path)
  }

  #text(): string {
    return JSON.stringify({ version: 1, owner: this.owner, steps: this.#steps })
  }

  #save(): void {
    this.#effects.files.write(this.#path, this.#text())
  }

  /** Undoes what the journals say whose writer is dead. */
  static async replay(effects: Effects): Promise<UndoReport> {
    const all: UndoReport = { undone: [], notes: [], failed: [] }
    for (const name of effects.files.list(effects.paths.state).filter((file) => /^\d+\.json$/.test(file))) {
      const path = `${effects.paths.state}/${name}`
      const parsed = Content.safeParse(parseJson(effects.files.read(path)))
      if (!parsed.success) {
        all.failed.push(`${path} is not a journal this kt can read; look into it, then remove it`)
        continue
      }
      const { owner, steps } = parsed.data
      if (isAlive(owner, effects)) continue
      const report = await new Journal(path, owner, effects, steps).#undoAndClose()
      all.undone.push(...report.undone)
      all.notes.push(...report.notes)
      all.failed.push(...report.failed)
    }
    return all
  }

  async #undoAndClose(): Promise<UndoReport> {
    const report = await this.undo()
    this.close()
    return report
  }
}

/** Users with a journal, and the devices their helpers opened. Throws where it may not be read. */
export function writersOf(effects: Effects): { uid: number; owner: Owner; devices: string[] }[] {
  const { files, paths } = effects
  return files
    .list(paths.state)
    .filter((file) => /^\d+\.json$/.test(file))
    .flatMap((file) => {
      const parsed = Content.safeParse(parseJson(files.read(`${paths.state}/${file}`)))
      if (!parsed.success) return []
      const { owner, steps } = parsed.data
      const devices = steps.flatMap((step) => (step.type === 'delete-link' ? [step.name] : []))
      return [{ uid: Number.parseInt(file, 10), owner, devices }]
    })
}

function oneLine(step: UndoAction): string {
  return describe(step).replaceAll('\n', '; ')
}

/** True if the file with this marker is that of a helper that lives. */
export function markerIsAlive(text: string, effects: Effects): boolean {
  const owner = ownerOf(Number(text.split('-')[0]), effects)
  return owner !== undefined && ownerText(owner) === text
}

function isAlive(owner: Owner, effects: Effects): boolean {
  const now = ownerOf(owner.pid, effects)
  return now !== undefined && now.started === owner.started && now.boot === owner.boot
}

function journalPath(uid: number, { paths }: Effects): string {
  return `${paths.state}/${uid}.json`
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}
