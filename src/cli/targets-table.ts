// `kt list` as people see it, and as one object. Pure.
import { visible } from '../base/visible.ts'
import type { Held } from '../control/protocol.ts'
import type { ListedTarget, TargetList } from '../control/targets.ts'
import { bold, dim, formatAge, green, yellow } from './output.ts'

/** `kt list --json`; keys are stable, documented in docs/reference/status.md. */
export interface List {
  namespace: string
  context: string
  cluster: string
  targets: (ListedTarget & { held: TargetList['held'] })[]
  /** What comes to this machine, here and from other namespaces and clusters; as in `kt status --json`. */
  here: Held[]
  notes: string[]
}

/** `here`: what this user holds on this machine. */
export function listWithHeld({ targets, held, ...rest }: TargetList, here: Held[]): List {
  const nameOf = ({ kind, name }: ListedTarget) => (kind === 'service' ? name : `${kind}/${name}`)
  const known = new Set(targets.map(nameOf))
  const holds = (name: string) => held.filter(({ target }) => target === name)
  // A lease of something that is not listed: its Service is gone, or may not be seen.
  const unseen = [...new Set(held.map(({ target }) => target))].filter((target) => !known.has(target))
  return {
    ...rest,
    targets: [
      ...targets.map((target) => ({ ...target, held: holds(nameOf(target)) })),
      ...unseen.map((target) => ({ ...unlisted(target), held: holds(target) })),
    ],
    here,
  }
}

function unlisted(target: string): ListedTarget {
  const [name, kind] = target.split('/').reverse()
  return {
    kind: (kind ?? 'service') as ListedTarget['kind'],
    name,
    type: '',
    ports: [],
    ready: null,
    total: null,
    unfit: kind ? '' : 'the Service cannot be seen',
  }
}

export function portsText(ports: ListedTarget['ports']): string {
  const text = ({ port, protocol, name }: ListedTarget['ports'][number]) =>
    `${port}${protocol === 'TCP' ? '' : `/${protocol.toLowerCase()}`}${name ? ` (${name})` : ''}`
  return ports.map(text).join(', ')
}

/** `kt list --json` has the rest. */
const shortened = (text: string) => (text.length > 72 ? `${text.slice(0, 71)}…` : text)

/** `now`: ms since 1970. */
export function listLines(list: List, now: number, out: NodeJS.WriteStream): string[] {
  const { namespace, context, targets, here, notes } = list
  const lines = [dim(out, `namespace ${visible(namespace)}, context ${visible(context)}`)]
  const rows = targets.map((target) => [
    visible(target.kind === 'service' ? target.name : `${target.kind}/${target.name}`),
    shortened(visible(portsText(target.ports))) || '-',
    target.ready === null ? '-' : `${target.ready}/${target.total}`,
  ])
  const heads = ['TARGET', 'PORTS', 'READY']
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i].length)))
  const padded = (row: string[]) => row.map((cell, i) => cell.padEnd(widths[i])).join('  ')
  if (rows.length > 0) lines.push(dim(out, `${padded(heads)}  STATE`))
  for (const [i, target] of targets.entries()) lines.push(`${padded(rows[i])}  ${stateText(target, list, now, out)}`)
  if (rows.length === 0)
    lines.push(
      notes.length === 0
        ? 'there is nothing here that can be exchanged or forwarded'
        : 'nothing can be seen here that can be exchanged or forwarded',
    )
  const elsewhere = here.filter((one) => one.namespace !== namespace || one.context !== context)
  if (elsewhere.length > 0) lines.push('', dim(out, 'from elsewhere to this machine'))
  for (const one of elsewhere)
    lines.push(`${bold(out, visible(`${one.target}.${one.namespace}`))}  ${hereText(one, now, out)}`)
  return [...lines, ...notes.map((note) => yellow(out, `note: ${visible(note)}`))]
}

function stateText(target: List['targets'][number], list: List, now: number, out: NodeJS.WriteStream): string {
  const mine = list.here.filter(
    (one) =>
      one.target === target.name &&
      one.namespace === list.namespace &&
      one.context === list.context &&
      (target.kind === 'service' || target.held.length > 0),
  )
  // The lease of one's own says the same, and less.
  const others = target.held.filter(
    ({ kind, version }) => !mine.some((one) => one.kind === kind && one.version === version),
  )
  const texts = [
    ...mine.map((one) => hereText(one, now, out)),
    ...others.map(
      ({ kind, holder, since, version }) =>
        `${verbs[kind]} by ${visible(holder)} for ${formatAge(now - Date.parse(since))}${version ? `, ${visible(version)}` : ''}`,
    ),
  ]
  if (texts.length > 0) return texts.join('; ')
  if (target.unfit !== '') return dim(out, `cannot be exchanged: ${visible(target.unfit)}`)
  return target.kind === 'service' ? dim(out, 'free') : dim(out, 'free; exchange it with --mode scale')
}

const verbs = { exchange: 'exchanged', mesh: 'meshed', run: 'run' }

/** `comes here, 80 -> localhost:8080, for 3 min` */
function hereText({ kind, ports, shell, version, since, state }: Held, now: number, out: NodeJS.WriteStream): string {
  const place = (local: number) => (shell ? `port ${local} inside of ${shell}` : `localhost:${local}`)
  const which = ports.map(({ local, remote }) => `${remote} -> ${place(local)}`).join(', ')
  const words = kind === 'mesh' ? `requests with ${visible(version ?? '')} come here` : 'comes here'
  const colour = state === 'active' ? green : yellow
  return `${colour(out, words)}, ${which}, ${state} for ${formatAge(now - Date.parse(since))}`
}
