// The engine's log: one line an event, in the user's state folder, started anew when it has grown large. A log that cannot
// be written is told once, and is no reason not to connect.
import { createWriteStream, openSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { visibleLines } from '../base/visible.ts'

const MAX_BYTES = 8 << 20

export interface Log {
  (line: string): void
  debug(line: string): void
  /** Why there is no log, for a person; undefined while it can be written. */
  trouble(): string | undefined
}

/** Opens (appends to) the log file; a file over 8 MiB becomes `kt.log.1` first. Never throws. */
export function openLog(path: string, debug: boolean): Log {
  let trouble: string | undefined
  const failed = (error: NodeJS.ErrnoException) => {
    trouble = `there is no log: ${error.message.replace(/^(\w+): /, '')}`
  }
  const write = openFile(path, failed)
  const line = (text: string) => write(`${localTime(new Date())} ${visibleLines(text).replaceAll('\n', '\n  ')}\n`)
  return Object.assign(line, { debug: debug ? line : () => {}, trouble: () => trouble })
}

function openFile(path: string, failed: (error: NodeJS.ErrnoException) => void): (text: string) => void {
  try {
    makeFolders(dirname(path), 0o700)
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) renameSync(path, `${path}.1`)
    // Opened here and now, so that whoever begins knows at once.
    const stream = createWriteStream(path, { fd: openSync(path, 'a', 0o600) })
    stream.on('error', failed) // a full disk must not end the connection
    return (text) => void (stream.writable && stream.write(text))
  } catch (error) {
    failed(error as NodeJS.ErrnoException)
    return () => {}
  }
}

/** The machine's own time with its distance to UTC, as RFC 3339 writes it: `2026-03-01T09:15:00.123+01:00`. */
export function localTime(at: Date): string {
  const ahead = -at.getTimezoneOffset()
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  const local = new Date(at.getTime() + ahead * 60_000).toISOString().slice(0, -1)
  return `${local}${ahead < 0 ? '-' : '+'}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`
}
