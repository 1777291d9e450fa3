// Brings what a path reads to the line it belongs to.
import { LineDecoder, LineFrame, offsetAt } from './frames.ts'
import type { Line } from './line.ts'

/**
 * Reads what a path brings. Bytes go to `line()`, undefined until the path is opened; frames that are not about bytes go
 * to `onFrame`. `push` throws RangeError for whatever breaks the protocol, which ends the path.
 */
export function lineReader(line: () => Line | undefined, onFrame: (type: number, body: Buffer) => void): LineDecoder {
  const opened = () => {
    const found = line()
    if (!found) throw new RangeError('bytes before the path was opened')
    return found
  }
  return new LineDecoder({
    onData: (offset, piece) => opened().receive(offset, piece),
    onReceived: (received) => opened().acknowledge(received),
    onFrame: (type, body) => {
      if (type === LineFrame.ack) opened().acknowledge(offsetAt(body, 0) ?? 0)
      else if (type === LineFrame.end) opened().ended(offsetAt(body, 0))
      else onFrame(type, body)
    },
  })
}
