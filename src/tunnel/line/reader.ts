// Brings what a path reads to the line it belongs to.
import type { Clock } from '../../base/clock.ts'
import { TunnelError } from '../errors.ts'
import { LineDecoder, LineFrame, OFFSET, offsetAt, ProtocolError } from './frames.ts'
import type { Line } from './line.ts'
import type { LinePath } from './line-path.ts'

/**
 * Reads what `path` brings. Bytes go to `line()`, undefined until the path is opened; frames that are not about bytes go
 * to `onFrame`. `push` throws ProtocolError for whatever breaks the protocol, which ends the path.
 */
export function lineReader(
  path: LinePath,
  line: () => Line | undefined,
  onFrame: (type: number, body: Buffer) => void,
): LineDecoder {
  const opened = () => {
    const found = line()
    if (!found) throw new ProtocolError('bytes before the path was opened')
    return found
  }
  return new LineDecoder({
    onData: (offset, piece) => opened().receive(offset, piece, path),
    onReceived: (received) => opened().acknowledge(received),
    onFrame: (type, body) => {
      if (type === LineFrame.ack) opened().acknowledge(offsetAt(body, 0) ?? 0)
      else if (type === LineFrame.pathAck) opened().pathAcked(path, offsetAt(body, 0) ?? 0, offsetAt(body, OFFSET) ?? 0)
      else if (type === LineFrame.end) opened().ended(offsetAt(body, 0))
      else onFrame(type, body)
    },
  })
}

const OURS = 'this is a mistake in kt: please report it with what `kt logs` says'

/** How a path of the client's is read. */
export interface Reading {
  /** Does it carry the line? Bytes break the protocol before. */
  isOpen(): boolean
  /** Frames that are about neither bytes nor probes. */
  onFrame?(type: number, body: Buffer): void
  /** The first bytes, as they come. */
  onFirst?(chunk: Buffer): void
  /** It has ended, or has broken the protocol. */
  onLost?(error: Error | undefined): void
}

interface PathReading extends Omit<Reading, 'isOpen'> {
  clock: Clock
  log(message: string): void
  line: () => Line | undefined
  onFrame(type: number, body: Buffer): void
}

/**
 * Reads a path of the client's until it ends; closes it when it breaks the protocol. An error of our own ends the line, since
 * nobody knows what became of the bytes.
 */
export function readPath(path: LinePath, { clock, log, line, onFrame, onFirst, onLost }: PathReading): void {
  const reader = lineReader(path, line, onFrame)
  let first = true
  const lost = (error: Error | undefined) => {
    path.lost()
    onLost?.(error)
  }
  path.path.start((chunk) => {
    if (first) onFirst?.(chunk)
    first = false
    if (!path.open) return
    path.heardAt = clock.now()
    try {
      reader.push(chunk)
    } catch (thrown) {
      const error = thrown as Error
      path.close()
      if (!(error instanceof ProtocolError)) {
        log(`internal error: ${error.stack}`)
        line()?.destroy(new TunnelError('lost', error.message, OURS))
      }
      lost(error)
    }
  }, lost)
}
