// What a layer-3 device is to the rest of kt: batches of frames in, batches of frames out, both synchronous.
// A frame is struct virtio_net_hdr (src/wire/vnet.ts) and an IP packet behind it.

/**
 * A batch of frames: frame i is `buffer[offsets[i] .. offsets[i] + lengths[i])`. The arrays belong to whoever made the
 * call and are reused after it returns.
 */
export type FrameSink = (buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number) => void

/** A TUN device, or what stands in for one. */
export interface TunDevice {
  readonly name: string
  /** Largest IP packet in bytes that is not a GSO super-segment. */
  readonly mtu: number
  /** Delivers what the kernel sends, a batch a call, until `close`. Once only. `onError` says the device is gone. */
  start(receive: FrameSink, onError: (error: Error) => void): void
  /** Gives frames to the kernel at once. Returns how many it took; the rest is lost, as on any line. Never blocks. */
  write: (buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number) => number
  close(): void
}
