// Joins device, stack and tunnel into one synchronous path: a batch of frames in, the tunnel's writes out, and back.
// Everything that wants to send calls `wake`; one flush at the end of the current turn lets segments and ACKs coalesce.
import type { Clock } from '../base/clock.ts'
import type { Stack, StackOptions } from '../stack/api.ts'
import { createStack } from '../stack/index.ts'
import type { TunDevice } from '../tun/device.ts'

export interface DataPath {
  readonly stack: Stack
  /** Something was queued in the stack: flush when this callback is over. */
  wake(): void
  close(): void
}

/** Makes the stack for a device and drives it by the device's frames and the clock. */
export function createDataPath(
  device: TunDevice,
  { clock, ...options }: Omit<StackOptions, 'output'> & { clock: Clock },
  onError: (error: Error) => void,
): DataPath {
  const stack = createStack({
    ...options,
    output: (buffer, offsets, lengths, count) => void device.write(buffer, offsets, lengths, count),
  })
  let cancelTimer = () => {}
  let timerAt = Number.POSITIVE_INFINITY
  let pending = false
  let closed = false
  const settled = Promise.resolve()

  const arm = () => {
    const at = stack.nextDeadline()
    // A timer that fires too early costs one look; moving it for every segment would cost more.
    if (at >= timerAt) return
    cancelTimer()
    timerAt = at
    cancelTimer = clock.after(Math.max(0, at - clock.now()), onTimer)
  }
  const onTimer = () => {
    timerAt = Number.POSITIVE_INFINITY
    const now = clock.now()
    stack.tick(now)
    stack.flush(now)
    arm()
  }
  const flush = () => {
    pending = false
    if (closed) return
    stack.flush(clock.now())
    arm()
  }

  const wake = () => {
    if (pending) return
    pending = true
    // Not process.nextTick: in some processes V8 creates the tick's object on a slow path, which takes 1 to 2 us each time.
    void settled.then(flush)
  }

  device.start((buffer, offsets, lengths, count) => {
    const now = clock.now()
    stack.input(buffer, offsets, lengths, count, now)
    // The tunnel sends what these frames gave it first, because that has the longer way.
    wake()
  }, onError)

  return {
    stack,
    wake,
    close: () => {
      if (closed) return
      stack.close()
      stack.flush(clock.now())
      closed = true
      cancelTimer()
      device.close()
    },
  }
}
