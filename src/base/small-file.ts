// Reads files that are small by their nature, whoever put something else in their place: a pipe is not waited for, a device not
// read for ever, and of a huge file the beginning is enough.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

const CHUNK = 64 * 1024

/** At most `most` bytes; undefined if it is no regular file. Throws Node's errors, also when there is none. */
export function readSmallFile(path: string, most: number): Buffer | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    if (!fstatSync(fd).isFile()) return undefined
    const chunks: Buffer[] = []
    // By reading to the end: files of /proc say that they have no size.
    for (let left = most; left > 0; ) {
      const chunk = Buffer.alloc(Math.min(CHUNK, left))
      const size = readSync(fd, chunk)
      if (size === 0) break
      chunks.push(chunk.subarray(0, size))
      left -= size
    }
    return Buffer.concat(chunks)
  } finally {
    closeSync(fd)
  }
}
