// What the system says about a file, for people.
import { getSystemErrorMessage } from 'node:util'

/** `no such file or directory`: Node's own message also has the call and, where kt writes aside first, a name nobody gave. */
export function fileErrorText(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException
  return errno === undefined ? message : getSystemErrorMessage(errno)
}
