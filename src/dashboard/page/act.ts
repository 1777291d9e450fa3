// The buttons' way to the server.
import type { Action, Actions, Outcome } from '../model.ts'
import { authorization } from './page-session.ts'

/** Never rejects: a server that does not answer is an outcome too. */
export async function act<A extends Action>(action: A, args: Actions[A][0]): Promise<Outcome<A>> {
  try {
    const response = await fetch(`/api/${action}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization() },
      body: JSON.stringify(args),
    })
    if (response.ok) return (await response.json()) as Outcome<A>
    return { ok: false, message: (await response.text()).trim(), hint: 'run `kt dashboard` again' }
  } catch {
    return { ok: false, message: 'the dashboard does not answer', hint: 'does `kt dashboard` still run?' }
  }
}
