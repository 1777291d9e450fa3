// Services with who holds them.
import type { Held, ServiceReport, Team } from '../../control/protocol.ts'

/** A service with who holds it. */
export interface ServiceRow extends ServiceReport {
  held: { verb: string; who: string; own: boolean; version: string }[]
}

const verbs = { exchange: 'exchanged', mesh: 'meshed', run: 'run' }

export const idOf = ({ namespace, name }: ServiceReport): string => `${namespace}/${name}`

/** Services with what this machine and the team hold; one's own is told by its process, and not by its lease too. */
export function withHolders(
  services: readonly ServiceReport[],
  own: readonly Held[],
  team: Team['held'],
  context: string,
): ServiceRow[] {
  const held = new Map<string, ServiceRow['held']>()
  const add = (id: string, one: ServiceRow['held'][number]) => held.set(id, [...(held.get(id) ?? []), one])
  const mine = own.filter((one) => one.context === context)
  for (const { kind, namespace, target, version } of mine)
    add(`${namespace}/${target}`, { verb: verbs[kind], who: 'you', own: true, version: version ?? '' })
  for (const { kind, namespace, target, holder } of team) {
    const isMine = mine.some((one) => one.kind === kind && one.namespace === namespace && one.target === target)
    if (!isMine) add(`${namespace}/${target}`, { verb: verbs[kind], who: holder, own: false, version: '' })
  }
  const none: ServiceRow['held'] = []
  return services.map((service) => ({ ...service, held: held.get(idOf(service)) ?? none }))
}
