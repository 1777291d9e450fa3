// Puts a finished build into the place that programs run from, while some of them run: each file is renamed into place
// whole, the chunks before the programs that import them; a file that is the same is left alone. A program that was
// started from an earlier build may still load that build's chunks later, so these stay for a while.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** How long a chunk that no build has any more is kept for the programs that were started before. */
const KEPT_MS = 3 * 24 * 3600_000
/** In the folder: since when each file is in no build, in ms since 1970. */
const RECORD = '.superseded.json'

/** Moves the files of `built` into `folder`. `built` is a folder on the same file system; it is empty afterwards. */
export function publish(built: string, folder: string, now: number): void {
  mkdirSync(folder, { recursive: true })
  const files = filesOf(built)
  const isProgram = (file: string) => !/(^|\/)[^/]+-[A-Z0-9]{8}\.js$/.test(file)
  const superseded = readRecord(join(folder, RECORD))
  for (const file of files.sort((a, b) => Number(isProgram(a)) - Number(isProgram(b)))) {
    const target = join(folder, file)
    if (sameContent(join(built, file), target)) continue
    mkdirSync(dirname(target), { recursive: true })
    renameSync(join(built, file), target)
  }
  const record: Record<string, number> = {}
  for (const file of filesOf(folder)) {
    if (files.includes(file) || file === RECORD) continue
    const since = superseded[file] ?? now
    if (now - since < KEPT_MS) record[file] = since
    else rmSync(join(folder, file), { force: true }) // a build beside this one may have removed it
  }
  writeFileSync(join(built, RECORD), JSON.stringify(record))
  renameSync(join(built, RECORD), join(folder, RECORD))
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

function readRecord(path: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>
  } catch {
    return {} // the first build, or one that cannot be read: everything starts anew
  }
}

function sameContent(a: string, b: string): boolean {
  if (!existsSync(b) || statSync(a).size !== statSync(b).size) return false
  return readFileSync(a).equals(readFileSync(b))
}
