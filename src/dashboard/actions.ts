// What the page's buttons do: each is one question to the engine or to a holder, checked here for its shape and there
// for its sense.
import { ControlFailure } from '../control/client.ts'
import { askHolders } from '../control/holders.ts'
import type { Feed } from './feed.ts'

/** Rejects with ControlFailure, or with an Error for a request that is none. */
export async function perform(
  feed: Feed,
  user: { uid: number; env: NodeJS.ProcessEnv },
  action: string,
  body: unknown,
): Promise<unknown> {
  switch (action) {
    case 'disconnect':
      return (await feed.engine()).request('down', {})
    case 'trace': {
      const question = { name: text(body, 'name'), type: text(body, 'type') }
      return (await feed.engine()).request('dns.trace', question)
    }
    case 'leave':
      return leave(user, text(body, 'kind'), text(body, 'target'), text(body, 'namespace'))
    case 'recover': {
      const question = { target: text(body, 'target'), namespace: text(body, 'namespace') }
      return (await feed.engine()).request('recover', question)
    }
    default:
      throw new Error(`there is no action ${action}`)
  }
}

/** As `kt leave` does. */
async function leave(
  { uid, env }: { uid: number; env: NodeJS.ProcessEnv },
  kind: string,
  target: string,
  namespace: string,
): Promise<{ notes: string[] }> {
  const { holders } = await askHolders(uid, env)
  try {
    const holder = holders.find(
      ({ held }) => held.kind === kind && held.target === target && held.namespace === namespace,
    )
    if (!holder)
      throw new ControlFailure({
        code: 'not-held',
        message: `nothing of yours on this machine holds ${target} in ${namespace}`,
        hint: `\`kt recover ${target} -n ${namespace}\` puts back what was left`,
      })
    return await holder.client.request('leave', {})
  } finally {
    for (const { client } of holders) client.close()
  }
}

function text(body: unknown, key: string): string {
  const value = (body as Record<string, unknown> | null)?.[key]
  if (typeof value !== 'string') throw new Error(`${key} is missing`)
  return value
}
