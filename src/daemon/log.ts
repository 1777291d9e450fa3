// The engine's log: one line an event, in the user's state folder, started anew when it has grown large.
import { createWriteStream, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

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
  const write = (line: string) => void stream.write(`${new Date().toISOString()} ${line.replaceAll('\n', '\n  ')}\n`)
  return Object.assign(write, { debug: debug ? write : () => {} })
}
