// What the page's buttons do: each is one question to the engine, checked here for its shape and there for its sense.
import type { Feed } from './feed.ts'

/** Rejects with ControlFailure, or with an Error for a request that is none. */
export async function perform(feed: Feed, action: string, body: unknown): Promise<unknown> {
  const engine = await feed.engine()
  switch (action) {
    case 'disconnect':
      return engine.request('down', {})
    case 'trace':
      return engine.request('dns.trace', { name: text(body, 'name'), type: text(body, 'type') })
    default:
      throw new Error(`there is no action ${action}`)
  }
}

function text(body: unknown, key: string): string {
  const value = (body as Record<string, unknown> | null)?.[key]
  if (typeof value !== 'string') throw new Error(`${key} is missing`)
  return value
}
