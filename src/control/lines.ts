// JSON lines over a byte stream, within bounds.
import { StringDecoder } from 'node:string_decoder'
import { MAX_LINE } from './protocol.ts'

/** Cuts a stream of chunks into lines. Throws RangeError when one grows beyond MAX_LINE. */
export class LineSplitter {
  #decoder = new StringDecoder('utf8')
  #rest = ''

  /** The lines that are complete with this chunk, without their newline; empty lines are left out. */
  push(chunk: Buffer): string[] {
    const text = this.#rest + this.#decoder.write(chunk)
    const lines = text.split('\n')
    this.#rest = lines.pop()!
    if (this.#rest.length > MAX_LINE) throw new RangeError(`a line of more than ${MAX_LINE} bytes`)
    return lines.filter((line) => line !== '')
  }
}
