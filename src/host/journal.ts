// The undo journal: one file a user, in a folder only root may enter. A step's undo is on disk before the step is done,
// so what a killed helper leaves can be undone by the next one. A file whose writer lives is never touched by another.
import { basename, dirname } from 'node:path'
import * as z from 'zod/mini'
import type { Effects } from './effects.ts'
import { HostError } from './errors.ts'
import { describe, isAlive, Owner, ownerOf, revert, UndoAction } from './system.ts'

const Content = z.strictObject({
  version: z.literal(1),
  owner: Owner,
  /** The engine that the owner has started. */
  engine: z.optional(Owner),
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
  /** Journals that say nothing this kt understands; left out when there is none. */
  unreadable?: UnreadableJournal[]
}

export interface UnreadableJournal {
  path: string
  why: string
}

export class Journal {
  readonly owner: Owner
  readonly #path: string
  readonly #effects: Effects
  #steps: UndoAction[] = []
  #engine: Owner | undefined

  private constructor(path: string, owner: Owner, effects: Effects, steps: UndoAction[]) {
    this.#path = path
    this.owner = owner
    this.#effects = effects
    this.#steps = steps
  }

  /**
   * The journal of this user's helper, process `pid`. Throws HostError: 'already-running' if there is one that lives,
   * 'journal' if what is there cannot be read, or nothing can be written.
   */
  static create(uid: number, pid: number, effects: Effects): Journal {
    const owner = ownerOf(pid, effects)
    if (!owner) throw new HostError('journal', `process ${pid} is not in /proc`, 'mount /proc')
    const journal = new Journal(journalPath(uid, effects), owner, effects, [])
    const made = writing(effects.paths.state, () => {
      effects.files.folder(effects.paths.state, 0o700, 0, 0)
      return effects.files.create(journal.#path, journal.#text())
    })
    if (made) return journal
    const there = readJournal(journal.#path, effects)
    if ('why' in there && there.why !== GONE) throw unreadable(there)
    throw new HostError(
      'already-running',
      `kt is already starting or running for this user${'why' in there ? '' : ` (process ${there.content.owner.pid})`}`,
      '`kt status` tells; `kt down` ends it',
    )
  }

  /** The processes of this user's kt that live. None where no journal can be read. */
  static processes(uid: number, effects: Effects): { engine?: Owner; helper?: Owner } {
    const there = readJournal(journalPath(uid, effects), effects)
    if ('why' in there) return {}
    const { owner: helper, engine } = there.content
    return {
      ...(engine && isAlive(engine, effects) && { engine }),
      ...(isAlive(helper, effects) && { helper }),
    }
  }

  get steps(): readonly UndoAction[] {
    return this.#steps
  }

  /** Writes down how to undo what is about to be done. */
  record(undo: UndoAction): void {
    this.#steps.push(undo)
    this.#save()
  }

  /** Writes down which process the engine is, for whoever has to end it when the owner cannot. */
  startedEngine(pid: number): void {
    this.#engine = ownerOf(pid, this.#effects)
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
    this.#saveLess()
    return report
  }

  /** Removes the file; for when nothing is left to undo. */
  close(): void {
    if (this.#steps.length === 0) this.#effects.files.remove(this.#path)
  }

  #text(): string {
    return JSON.stringify({ version: 1, owner: this.owner, engine: this.#engine, steps: this.#steps })
  }

  #save(): void {
    writing(this.#effects.paths.state, () => this.#effects.files.write(this.#path, this.#text()))
  }

  /** After steps were undone. On a full disk the longer journal stays, which does no harm: steps may be undone again. */
  #saveLess(): void {
    if (this.#steps.length === 0) return // `close` removes it
    try {
      this.#save()
    } catch (error) {
      if (!(error instanceof HostError)) throw error
    }
  }

  /** Undoes what the journals say whose writer is dead. */
  static async replay(effects: Effects): Promise<UndoReport> {
    const all: UndoReport = { undone: [], notes: [], failed: [] }
    for (const name of effects.files.list(effects.paths.state).filter((file) => /^\d+\.json$/.test(file))) {
      const path = `${effects.paths.state}/${name}`
      const there = readJournal(path, effects)
      if ('why' in there) {
        if (there.why === GONE) continue
        all.unreadable = [...(all.unreadable ?? []), there]
        continue
      }
      const { owner, steps } = there.content
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
      const there = readJournal(`${paths.state}/${file}`, effects)
      if ('why' in there) return []
      const { owner, steps } = there.content
      const devices = steps.flatMap((step) => (step.type === 'delete-link' ? [step.name] : []))
      return [{ uid: Number.parseInt(file, 10), owner, devices }]
    })
}

function oneLine(step: UndoAction): string {
  return describe(step).replaceAll('\n', '; ')
}

function journalPath(uid: number, { paths }: Effects): string {
  return `${paths.state}/${uid}.json`
}

/** Its owner has just removed it. */
const GONE = 'it is gone'

function isThere(path: string, files: Effects['files']): boolean {
  return files.list(dirname(path)).includes(basename(path))
}

function readJournal(path: string, { files }: Effects): { content: z.infer<typeof Content> } | UnreadableJournal {
  try {
    const text = files.read(path)
    if (text === undefined) return { path, why: isThere(path, files) ? 'it is no plain file' : GONE }
    if (text.trim() === '') return { path, why: 'it is empty' }
    const parsed = Content.safeParse(JSON.parse(text))
    if (parsed.success) return { content: parsed.data }
    return { path, why: `its ${parsed.error.issues[0]?.path.join('.') || 'content'} is not what this kt writes` }
  } catch (error) {
    return { path, why: error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message }
  }
}

/** For a person who has to decide what becomes of it: kt cannot know what it was to undo. */
export function unreadable({ path, why }: UnreadableJournal): HostError {
  return new HostError(
    'journal',
    `the undo journal ${path} cannot be used: ${why}`,
    `see that /etc/resolv.conf is yours, then remove the journal: \`sudo rm -r ${path}\``,
  )
}

/** Tells of a disk that is full or read-only in words. */
function writing<T>(folder: string, write: () => T): T {
  try {
    return write()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (typeof code !== 'string' || error instanceof HostError) throw error
    throw new HostError(
      'journal',
      `kt cannot write down in ${folder} how to undo what it does: ${message}`,
      `make room on the file system of ${folder}, and make it writable: \`df ${folder}\` shows it`,
    )
  }
}
