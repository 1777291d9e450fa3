// The engine's log: one line an event, in the user's state folder, started anew when it has grown large.
import { createWriteStream, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { visibleLines } from '../base/visible.ts'

const MAX_BYTES = 8 << 20

export interface Log {
  (line: string): void
  debug(line: string): void
}

/** Opens (appends to) the log file; a file over 8 MiB becomes `kt.log.1` first. */
export function openLog(path: string, debug: boolean): Log {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    if (statSync(path).size > MAX_BYTES) renameSync(path, `${path}.1`)
  } catch {
    // there is none yet
  }
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
  stream.on('error', () => {}) // a full disk must not end the connection
  const write = (line: string) =>
    void stream.write(`${localTime(new Date())} ${visibleLines(line).replaceAll('\n', '\n  ')}\n`)
  return Object.assign(write, { debug: debug ? write : () => {} })
}

/** The machine's own time with its distance to UTC, as RFC 3339 writes it: `2026-03-01T09:15:00.123+01:00`. */
export function localTime(at: Date): string {
  const ahead = -at.getTimezoneOffset()
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  const local = new Date(at.getTime() + ahead * 60_000).toISOString().slice(0, -1)
  return `${local}${ahead < 0 ? '-' : '+'}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`
}
