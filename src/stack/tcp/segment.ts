// The segment being processed: one reusable object that the packet path fills, so that no rule reads the header twice.
import { get16, get32 } from '../../wire/bytes.ts'
import type { IpView } from '../../wire/ip.ts'
import {
  FIN,
  SYN,
  TCP_ACKNOWLEDGMENT,
  TCP_FLAGS,
  TCP_HEADER,
  TCP_SEQUENCE,
  TCP_WINDOW,
  TcpOptions,
  tcpHeaderLength,
} from '../../wire/tcp.ts'

export class Segment {
  buffer: Uint8Array = new Uint8Array(0)
  seq = 0
  ack = 0
  flags = 0
  /** As it stands in the header, unscaled. */
  window = 0
  /** The payload is `buffer[start .. end)`. */
  start = 0
  end = 0
  /** How many sequence numbers the segment uses: payload, SYN and FIN. */
  length = 0
  readonly options = new TcpOptions()

  /** False if the header does not fit into the packet. */
  read(view: IpView): boolean {
    const { buffer, payload: at, end } = view
    const header = tcpHeaderLength(buffer, at, end)
    if (header === 0) return false
    this.buffer = buffer
    this.seq = get32(buffer, at + TCP_SEQUENCE)
    this.ack = get32(buffer, at + TCP_ACKNOWLEDGMENT)
    this.flags = buffer[at + TCP_FLAGS]
    this.window = get16(buffer, at + TCP_WINDOW)
    this.start = at + header
    this.end = end
    this.length = end - this.start + (this.flags & FIN) + ((this.flags & SYN) >> 1)
    const { options } = this
    if (header > TCP_HEADER) options.read(buffer, at + TCP_HEADER, at + header)
    else {
      options.sackCount = 0
      options.mss = 0
      options.windowScale = -1
      options.sackPermitted = false
    }
    return true
  }
}
