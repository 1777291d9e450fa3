// The end of a shadow's name, which keeps it apart from all others.
import type { RandomBytes } from '../base/random.ts'

// Letters and digits as in the names Kubernetes makes (k8s.io/apimachinery/pkg/util/rand: no vowels, no 0 1 3).
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const LENGTH = 5
// Bytes from here on are drawn again: with them the first letters would come more often than the others.
const END = 256 - (256 % ALPHABET.length)

/** Five letters or digits nobody can guess. */
export function suffix(random: RandomBytes): string {
  let text = ''
  while (text.length < LENGTH) {
    const byte = random(1)[0]!
    if (byte < END) text += ALPHABET[byte % ALPHABET.length]
  }
  return text
}
