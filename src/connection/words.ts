// Words for people about what a connection found.
import type { Ranges } from '../cluster/calls.ts'

export function describeRanges({ ranges }: Ranges): string {
  const of = (kind: string) => ranges.filter((range) => range.kind === kind)
  const part = (kind: string) =>
    `${kind} ${
      of(kind)
        .map(({ cidr, guessed }) => cidr + (guessed ? ' (guessed)' : ''))
        .join(', ') || 'unknown'
    }`
  return `${part('pods')}; ${part('services')}`
}
