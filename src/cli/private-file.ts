// A file that only its owner may read, in place of what was there.
import { closeSync, fchmodSync, lstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { fileErrorText } from '../base/file-error.ts'
import { CliError } from './output.ts'

/** Mode 0600, whole or not at all. What is no ordinary file (a pipe, a terminal) is written to. Throws CliError. */
export function writePrivately(path: string, content: Buffer): void {
  const direct = isSpecial(path)
  const target = direct ? path : `${path}.kt-${process.pid}`
  try {
    const fd = openSync(target, direct ? 'w' : 'wx', 0o600)
    try {
      if (!direct) fchmodSync(fd, 0o600)
      for (let at = 0; at < content.length; ) at += writeSync(fd, content, at)
    } finally {
      closeSync(fd)
    }
    if (!direct) renameSync(target, path)
  } catch (error) {
    if (!direct) rmSync(target, { force: true })
    throw new CliError(`${path} cannot be written: ${fileErrorText(error)}`, 'name another file with -o')
  }
}

function isSpecial(path: string): boolean {
  try {
    return !lstatSync(path).isFile()
  } catch {
    return false
  }
}
