// How a person is told what a container has and kt could not find out. Pure.
import type { PlaceMissing } from '../control/place.ts'

/** One line for each reason. */
export function missingWords(missing: PlaceMissing[]): string[] {
  const byReason = new Map<string, string[]>()
  for (const { name, why } of missing) byReason.set(why, [...(byReason.get(why) ?? []), name])
  return [...byReason].map(([why, names]) => `left out: ${names.join(', ')}: ${why}`)
}
