// What the page's buttons do: each is one question to the engine or to a holder, checked here for its shape and there
// for its sense.
import { ControlFailure } from '../control/client.ts'
import { askHolders } from '../control/holders.ts'
import type { Feed } from './feed.ts'
import type { Forwards } from './forwards.ts'
import type { HolderLooks } from './holder-look.ts'
import type { Start } from './model.ts'

interface Performers {
  feed: Feed
  forwards: Forwards
  looks: HolderLooks
  uid: number
  env: NodeJS.ProcessEnv
}

/** Rejects with ControlFailure, or with an Error for a request that is none. */
export async function perform(
  { feed, forwards, looks, uid, env }: Performers,
  action: string,
  body: unknown,
): Promise<unknown> {
  // Who holds what has changed: it is looked up now, not seconds later.
  const look = () => feed.wake()
  switch (action) {
    case 'disconnect':
      return (await feed.engine()).request('down', {})
    case 'trace': {
      const question = { name: text(body, 'name'), type: text(body, 'type') }
      return (await feed.engine()).request('dns.trace', question)
    }
    case 'leave':
      return leave({ uid, env }, text(body, 'kind'), text(body, 'target'), text(body, 'namespace')).finally(look)
    case 'start': {
      const start = startOf(body)
      const context = feed.context()
      if (context !== undefined) await feed.requireSameCluster(forwards.selection(context), env)
      return forwards.start(start, context).finally(look)
    }
    case 'unforward':
      return forwards.stop(port(body, 'local'))
    case 'bodies': {
      looks.bodies = (body as { on?: unknown } | null)?.on === true
      return {}
    }
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

/** Checked strictly, since it becomes arguments of a command. */
function startOf(body: unknown): Start {
  const kind = text(body, 'kind')
  if (kind !== 'exchange' && kind !== 'mesh' && kind !== 'forward') throw new Error(`there is no kind ${kind}`)
  return {
    kind,
    target: label(body, 'target'),
    namespace: label(body, 'namespace'),
    local: port(body, 'local'),
    remote: port(body, 'remote'),
  }
}

/** RFC 1123 label, as names of Services and namespaces are. */
function label(body: unknown, key: string): string {
  const value = text(body, key)
  if (!/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(value)) throw new Error(`${key} is no name`)
  return value
}

function port(body: unknown, key: string): number {
  const value = (body as Record<string, unknown> | null)?.[key]
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 65_535)
    throw new Error(`${key} is no port: 1 to 65535`)
  return value
}

function text(body: unknown, key: string): string {
  const value = (body as Record<string, unknown> | null)?.[key]
  if (typeof value !== 'string') throw new Error(`${key} is missing`)
  return value
}
