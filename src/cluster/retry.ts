// When a request is sent again, and after how long: client-go's rules (rest/with_retry.go). Pure.

/** What became of a try: its answer, or `cut`, where the connection ended and nothing was changed by what was sent on it. */
type Outcome = 'cut' | { status: number; retryAfter: string | undefined }

// client-go tries ten times more and waits as long as it is told; a person waits in front of this.
const MOST_TRIES = 10
const MOST_WAIT_MS = 30_000
/** Without a word about how long. */
const FIRST_WAIT_MS = 200
const TRIES_UNASKED = 4

/** Milliseconds until the next try; undefined: there is none. `tries` have been made, `waitedMs` were waited for between them. */
export function nextTry(outcome: Outcome, method: string, tries: number, waitedMs: number): number | undefined {
  const wait = waitFor(outcome, method, tries)
  if (wait === undefined || tries >= MOST_TRIES || waitedMs + wait > MOST_WAIT_MS) return undefined
  return wait
}

function waitFor(outcome: Outcome, method: string, tries: number): number | undefined {
  // The connection may have been an old one that had died: the second try is made at once.
  if (outcome === 'cut') return tries === 1 ? 0 : unasked(tries - 1)
  const { status, retryAfter } = outcome
  const busy = status === 429 || status >= 500
  // Who says when to come again has done nothing yet (RFC 9110 10.2.3), whatever the method was.
  if (busy && /^\d{1,6}$/.test(retryAfter?.trim() ?? '')) return Math.max(Number(retryAfter) * 1000, FIRST_WAIT_MS)
  if (status === 429 || (status === 503 && method === 'GET')) return unasked(tries)
  return undefined
}

function unasked(tries: number): number | undefined {
  return tries >= TRIES_UNASKED ? undefined : FIRST_WAIT_MS * 2 ** (tries - 1)
}
