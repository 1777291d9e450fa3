// Reads the files that a kubeconfig names, with words for what is in the way.
import { readSmallFile } from '../base/small-file.ts'

/** Certificates, keys and tokens are a few kilobytes long; a bundle of all public authorities is 250 kB. */
const MOST_BYTES = 4 << 20

/** Why a file cannot be read, in words that follow its name: `cannot be read (EACCES)`. */
export class FileError extends Error {}

/** Throws FileError. */
export function readNamedFile(path: string, mostBytes = MOST_BYTES): string {
  let bytes: Buffer | undefined
  try {
    bytes = readSmallFile(path, mostBytes + 1)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new FileError(code === 'ENOENT' ? 'is not there (ENOENT)' : `cannot be read (${code})`)
  }
  if (!bytes) throw new FileError('is a pipe, a device or a folder, not a file')
  if (bytes.length > mostBytes) throw new FileError(`is longer than ${mostBytes >> 20} MB`)
  return bytes.toString()
}
