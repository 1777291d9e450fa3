// A look at what passes a device, switched on and off while it runs. Switched off it costs a comparison a batch.
import type { FrameSink, TunDevice } from './device.ts'

/** Sees a batch before it goes on; its arrays are valid during the call only. `in` is to this machine's programs. */
export type Tap = (direction: 'in' | 'out', ...batch: Parameters<FrameSink>) => void

export interface TappedDevice extends TunDevice {
  /** Adds a tap; returns how to take it off. */
  tap(tap: Tap): () => void
}

export function withTap(inner: TunDevice): TappedDevice {
  // Undefined while nobody looks.
  let taps: Set<Tap> | undefined
  const tell = (direction: 'in' | 'out', ...batch: Parameters<FrameSink>) => {
    for (const tap of taps!) tap(direction, ...batch)
  }
  return {
    name: inner.name,
    get mtu() {
      return inner.mtu
    },
    start(receive, onError) {
      inner.start((buffer, offsets, lengths, count) => {
        if (taps !== undefined) tell('out', buffer, offsets, lengths, count)
        receive(buffer, offsets, lengths, count)
      }, onError)
    },
    write(buffer, offsets, lengths, count) {
      if (taps !== undefined) tell('in', buffer, offsets, lengths, count)
      return inner.write(buffer, offsets, lengths, count)
    },
    close() {
      inner.close()
    },
    tap(tap) {
      taps ??= new Set()
      taps.add(tap)
      return () => {
        taps?.delete(tap)
        if (taps?.size === 0) taps = undefined
      }
    },
  }
}
