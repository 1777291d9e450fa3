// What a command that holds the terminal (exchange, mesh, run, forward) and its holder process say to each other: the
// configuration as the first line of the holder's input, then commands; events as lines of its output.
import type { ControlError, Progress, ShadowConfig } from './protocol.ts'

/** `kt forward`. */
export interface ForwardConfig extends ShadowConfig {
  kind: 'forward'
  target: string
  /** 0: any free one. */
  local: number
  /** Number or name. Default: as `local`, or the only one there is. */
  remote?: string
}

export type HolderConfig = ForwardConfig

/** Lines after the first. The end of the input means `end` too, unless the holder is to go on in the background. */
export type HolderCommand = { op: 'end' }

export type HolderLine =
  | ({ type: 'progress' } & Progress)
  /** It holds; `message` says what. */
  | { type: 'ready'; message: string }
  /** Something a person should know, at any time. */
  | { type: 'notice'; message: string }
  /** It could not begin, or had to end; everything is put back when the output closes. */
  | ({ type: 'failed' } & ControlError)
