// Values of JSON that are nearly what a schema wants: a good value in which some parts are others, or gone, or doubled.
import type { Random } from './random.ts'

const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e300, 4096, '', ' ', 'a', '\u0000', '\u202e', '__proto__', 'x'.repeat(300)],
  ...['; reboot', '$(id)', '../../etc/shadow', 'a\nroute add', '-batch', '10.0.0.1/99', '::/0', '0.0.0.0/0'],
  ...[[], {}, [[]], [null], { __proto__: null, constructor: 1 }],
]

/** A copy of `value` with a few changes; `others` may take the place of any part. */
export function spoil(random: Random, value: unknown, others: readonly unknown[] = []): unknown {
  if (random.chance(6)) return random.pick([...ODD, ...others])
  if (Array.isArray(value)) {
    const items = value.filter(() => !random.chance(4)).map((item) => spoil(random, item, others))
    return random.chance(6) ? [...items, ...items] : random.chance(3) ? [...items, random.pick(ODD)] : items
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(() => !random.chance(4))
  const changed = entries.map(([key, item]) => [key, spoil(random, item, others)] as const)
  if (random.chance(5)) changed.push([random.pick(['command', 'path', '__proto__', 'extra', '']), random.pick(ODD)])
  return Object.fromEntries(changed)
}

/** The value that a text holds; the text itself if it is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
