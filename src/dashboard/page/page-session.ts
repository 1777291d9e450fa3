// This tab's right to ask the server. The address that was printed has a token in its fragment, which the server takes
// once; what it gives in return is kept in the tab's own storage, which no page of another port can read.
const KEY = 'kt-session'

/**
 * Takes the token out of the address, if there is one, and exchanges it. Resolves to true when that gave a session; a
 * token that is refused leaves the session that this tab may have.
 */
export async function enter(): Promise<boolean> {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1]
  if (token === undefined) return false
  // Neither the address bar nor the history keeps it.
  history.replaceState(null, '', location.pathname)
  try {
    const response = await fetch('/api/enter', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token }),
    })
    if (!response.ok) return false
    const { session } = (await response.json()) as { session: string }
    sessionStorage.setItem(KEY, session)
    return true
  } catch {
    return false // the server does not answer, which the stream of events will say
  }
}

/** The header that goes with every question to the server. */
export function authorization(): Record<string, string> {
  const session = sessionStorage.getItem(KEY)
  return session === null ? {} : { authorization: `Bearer ${session}` }
}
