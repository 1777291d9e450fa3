// What a socket's error says of a server, in words that follow its name.

const WORDS: Record<string, string> = {
  ECONNREFUSED: 'refuses the connection',
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
  ETIMEDOUT: 'does not answer',
  EHOSTUNREACH: 'is not reachable from here (no route to host)',
  ENETUNREACH: 'is not reachable from here (no network)',
  ENOTFOUND: 'has a name that is not known',
  EAI_AGAIN: 'has a name that cannot be looked up now',
}

/** What is said of a connection that was there and has failed. Something between here and the server may have reset it. */
const BROKEN: Record<string, (where: string) => string> = {
  ECONNRESET: (where) => `the connection to ${where} was reset`,
  EPIPE: (where) => `the connection to ${where} was reset`,
  ECONNABORTED: (where) => `this machine ended the connection to ${where}`,
}

/** Undefined where the error is about something else. */
export function unreachableWords({ code }: { code?: string }): string | undefined {
  return code !== undefined && Object.hasOwn(WORDS, code) ? WORDS[code] : undefined
}

/**
 * `where`, as the user knows it, and what is wrong with it. Node's own message is not used where there are words: it repeats
 * the address, and is empty when each of several addresses has failed.
 */
export function unreachableSentence(where: string, error: Error & { code?: string }): string {
  const words = unreachableWords(error)
  return words ? `${where} ${words}` : `${where}: ${error.message || error.code || 'the connection failed'}`
}

/** Why the connection to `where`, as the user knows it, has failed after it was there. */
export function brokenSentence(where: string, error: Error & { code?: string }): string {
  const { code } = error
  return code !== undefined && Object.hasOwn(BROKEN, code) ? BROKEN[code](where) : unreachableSentence(where, error)
}
