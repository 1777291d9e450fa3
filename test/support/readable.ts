// The checkout, and how tests show it to another user: a checkout may lie where others may not enter, in root's home for
// example, and a program that such a user runs must then be read from somewhere else.
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout this file is in. */
export const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Words of a shell's command that shows the checkout at `place`, a folder; for a mount namespace of one's own. */
export const showCheckout = (place: string): string =>
  ['sh', join(checkout, 'test/support/readable.sh'), checkout, place]
    .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
    .join(' ')

/** `path` as it is found once the checkout is shown at `place`. What lies outside of the checkout stays where it is. */
export function shownAt(place: string, path: string): string {
  const inside = relative(checkout, path)
  return inside.startsWith('..') ? path : join(place, inside)
}
