// The state in words: one place decides what the page says of itself, the dashboard's server and the engine.
import type { Connection } from '../model.ts'
import type { Known } from './store.ts'

export interface StateWords {
  /** Colour of the dot. */
  kind: 'good' | 'warn' | 'bad' | 'idle'
  title: string
  text: string
  /** What to type, where there is something. */
  command: string
  /** Is there a connection whose views can be shown? */
  live: boolean
  /** Does the dashboard's program answer? */
  served: boolean
}

const nothing = { text: '', command: '', live: false, served: true }

export function stateWords(stream: Known['stream'], { engine, message, status }: Connection): StateWords {
  if (stream === 'ended')
    return {
      ...nothing,
      kind: 'bad',
      served: false,
      title: 'This page is not open',
      text: 'An address opens the page once, within a minute, and until its program ends. This prints another one:',
      command: 'kt dashboard',
    }
  if (stream === 'lost')
    return {
      ...nothing,
      kind: 'bad',
      served: false,
      title: 'Dashboard out of reach',
      text: 'The program that serves this page does not answer. If it was ended, start it again:',
      command: 'kt dashboard',
    }
  if (stream === 'opening') return { ...nothing, served: false, kind: 'idle', title: 'Loading' }
  if (engine === 'denied') return { ...nothing, kind: 'bad', title: 'No answer from kt', text: message }
  if (engine === 'stale')
    return {
      ...nothing,
      kind: 'bad',
      title: 'kt was killed',
      text: 'It left its routes and resolver settings behind. This puts the machine back:',
      command: 'kt down',
    }
  if (engine === 'none' || !status)
    return {
      ...nothing,
      kind: 'idle',
      title: 'Not connected',
      text: 'This page comes alive as soon as you connect:',
      command: 'kt up',
    }
  switch (status.state) {
    case 'connected':
      return { ...nothing, kind: 'good', title: 'Connected', live: true }
    case 'reconnecting':
      return { ...nothing, kind: 'warn', title: 'Reconnecting', live: true }
    case 'connecting':
      return { ...nothing, kind: 'warn', title: 'Connecting', text: 'kt is connecting; this takes a few seconds.' }
    case 'disconnecting':
      return { ...nothing, kind: 'warn', title: 'Disconnecting', text: 'kt is putting routes and names back.' }
  }
}
