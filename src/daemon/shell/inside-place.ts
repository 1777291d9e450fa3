// A container's files as a program in a shell is to find them: at their own paths. Pure.
import { posix } from 'node:path'

export interface InsidePlace {
  /** The folder below which they are outside. */
  root: string
  mounts: readonly InsideMount[]
}

export interface InsideMount {
  /** Absolute, of plain parts. */
  path: string
  /** An emptyDir; all else is read-only. */
  writable: boolean
}

/** As the launcher takes them (native/shell.c). */
const MOST_MOUNTS = 64
const MOST_BYTES = 500

/** `left`: paths that no line of the launcher's can hold. */
export function insidePlace(
  root: string,
  mounts: readonly { path: string; kind: string }[],
): { place: InsidePlace; left: string[] } {
  const named = mounts.map(({ path, kind }) => ({
    path: posix.normalize(path).replace(/\/$/, ''),
    writable: kind === 'empty',
  }))
  // A mount inside of another one comes along with it.
  const sorted = named.sort((a, b) => (a.path < b.path ? -1 : 1))
  const fit = sorted.filter(({ path }) => isFit(path)).slice(0, MOST_MOUNTS)
  return {
    place: { root, mounts: fit },
    left: sorted.filter((one) => !fit.includes(one)).map(({ path }) => path || '/'),
  }
}

function isFit(path: string): boolean {
  // Control characters would end the line.
  return path.startsWith('/') && Buffer.byteLength(path) <= MOST_BYTES && !/[\0-\x1f]/.test(path)
}

/** One line for a person; undefined where everything is at its own path. */
export function leftWords(left: readonly string[]): string | undefined {
  if (left.length === 0) return undefined
  const why = 'this machine has something of its own there, or a folder that you may write to'
  return `only below $KT_ROOT, not at its own path: ${left.join(', ')} (${why})`
}
