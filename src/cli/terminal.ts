// What reaches the terminal. Every text that this program writes passes here: characters that would steer the terminal are
// made visible, except for the sequences of our own, which are marked with a secret of this process so that no text from
// outside can pass for one.
import { randomBytes } from 'node:crypto'
import { visibleLines } from '../base/visible.ts'

const MARK = `\0${randomBytes(12).toString('base64url')}:`
const marked = new RegExp(`${MARK}([^\\0]*)\\0`)

/** A sequence of ours (colour, cursor) that the terminal is to obey. It holds no NUL. */
export function own(sequence: string): string {
  return `${MARK}${sequence}\0`
}

/** `text` as the terminal gets it. */
export function terminalText(text: string): string {
  // Split by a group: our sequences are the odd parts.
  return text
    .split(marked)
    .map((part, i) => (i % 2 === 1 ? part : visibleLines(part)))
    .join('')
}

const prefixes = new WeakMap<NodeJS.WriteStream, string>()

/** From now on each line of text that this program writes to a guarded `stream` begins with `prefix`: others write there too. */
export function prefixLines(stream: NodeJS.WriteStream, prefix: string): void {
  prefixes.set(stream, prefix)
}

/**
 * From now on all text written to `stream`, by whatever part of the program or library, is `terminalText`. Bytes pass as
 * they are. When the stream fails `onError` is called, instead of an exception that nobody handles.
 */
export function guardStream(stream: NodeJS.WriteStream, onError: (error: NodeJS.ErrnoException) => void): void {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? terminalText(prefixed(chunk, prefixes.get(stream))) : chunk, ...rest)
  stream.on('error', onError)
}

/** `text` is whole lines. */
function prefixed(text: string, prefix: string | undefined): string {
  return prefix === undefined ? text : text.replace(/^(?=.)/gms, prefix)
}
