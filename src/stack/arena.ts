// Where frames are built: one buffer that is filled from front to back and handed out as a batch. A frame is written in
// place, so its payload is copied once, from where it was queued.
import { VNET_F_NEEDS_CSUM, VNET_HDR_LEN } from '../wire/vnet.ts'

/** Of the largest IP packet, with its virtio header, and rounded up. */
const LARGEST_FRAME = 65536 + 64
const SIZE = 1 << 20
const FRAMES = 4096

type Output = (buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number) => void

export class Arena {
  readonly buffer = new Uint8Array(SIZE)
  private readonly offsets = new Uint32Array(FRAMES)
  private readonly lengths = new Uint32Array(FRAMES)
  private readonly output: Output
  private count = 0
  private used = 0
  packets = 0
  bytes = 0

  constructor(output: Output) {
    this.output = output
  }

  /**
   * Begins a frame: writes a virtio header and returns the offset of the IP packet, which must be `ipLength` bytes long.
   * If there is no room, earlier frames are handed to the output first. `csumStart` 0 means that the checksum is complete,
   * `gsoType` 0 that the frame is one packet.
   */
  frame(
    ipLength: number,
    csumStart: number,
    csumOffset: number,
    gsoType: number,
    gsoSize: number,
    headerLength: number,
  ): number {
    if (this.used + LARGEST_FRAME > SIZE || this.count === FRAMES) this.flush()
    const buffer = this.buffer
    const at = this.used
    buffer[at] = csumStart === 0 ? 0 : VNET_F_NEEDS_CSUM
    buffer[at + 1] = gsoType
    buffer[at + 2] = headerLength
    buffer[at + 3] = headerLength >> 8
    buffer[at + 4] = gsoSize
    buffer[at + 5] = gsoSize >> 8
    buffer[at + 6] = csumStart
    buffer[at + 7] = csumStart >> 8
    buffer[at + 8] = csumOffset
    buffer[at + 9] = csumOffset >> 8
    this.offsets[this.count] = at
    this.lengths[this.count] = VNET_HDR_LEN + ipLength
    this.count++
    this.used = (at + VNET_HDR_LEN + ipLength + 7) & ~7
    this.packets++
    this.bytes += ipLength
    return at + VNET_HDR_LEN
  }

  flush(): void {
    const count = this.count
    if (count === 0) return
    this.count = 0
    this.used = 0
    this.output(this.buffer, this.offsets, this.lengths, count)
  }
}
