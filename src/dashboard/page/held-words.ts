// What the page says of an exchange, mesh or run that does not work at the moment. Pure.
import type { Held } from '../../control/protocol.ts'

/** Modes in which no original pods stand behind this machine; the one of `run` has no name. */
const WITHOUT_ORIGINAL = ['', 'scale', 'manual']

/** Where requests go while it does not work. */
export function heldWords({ state, mode }: Pick<Held, 'state' | 'mode'>): string {
  if (state === 'starting') return 'It is being set up'
  if (state === 'ending') return 'It is being put back'
  if (WITHOUT_ORIGINAL.includes(mode)) return 'The connection is lost; requests are refused'
  return 'Requests go to the original pods for now'
}
