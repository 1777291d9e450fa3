// What is wrong beside the machine itself, in words: the way to the cluster, and domains that found no room.
import { ToldError } from '../base/told-error.ts'
import type { Fault } from '../host/fault.ts'

/** The tunnel is gone, and nothing was tried yet. */
export function tunnelLost(why: string): Fault {
  return { code: 'lost', message: `the tunnel was lost: ${why}`, hint: 'kt reconnects by itself' }
}

/** Why reconnecting does not succeed: a right that is missing, credentials that ended, an API server out of reach. */
export function cannotReconnect(error: Error): Fault {
  const told = error instanceof ToldError || 'hint' in error ? (error as ToldError) : undefined
  return {
    code: told?.code ?? 'lost',
    message: `reconnecting fails: ${error.message.split('\n')[0]}`,
    hint: told?.hint ?? 'kt goes on trying; `kt logs` may say more',
  }
}

const SHOWN = 3

/** Domains that systemd-resolved has no room for: nothing if there are none. */
export function domainsLeftOut(left: readonly string[]): Fault[] {
  if (left.length === 0) return []
  const reverse = left.filter((name) => name.endsWith('.arpa')).length
  const namespaces = left.filter((name) => !name.endsWith('.arpa'))
  const more = namespaces.length - SHOWN
  const which = namespaces.slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '')
  const what = [
    ...(namespaces.length > 0 ? [`names of two parts of the namespaces ${which}`] : []),
    ...(reverse > 0 ? [`${reverse} reverse zones`] : []),
  ].join(' and ')
  const message = `systemd-resolved takes no more domains for one device: ${what} do not come to kt`
  const example = namespaces[0] === undefined ? '' : `; write web.${namespaces[0]}.svc instead of web.${namespaces[0]}`
  return [{ code: 'domains', message, hint: `all other names work${example}` }]
}
