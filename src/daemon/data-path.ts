// Joins device, stack and tunnel into one synchronous path: a batch of frames in, the tunnel's writes out, and back.
// Everything that wants to send calls `wake`; one flush at the end of the current turn lets segments and ACKs coalesce.
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
  options: Omit<StackOptions, 'output'>,
  onError: (error: Error) => void,
): DataPath {
  const stack = createStack({
    ...options,
    output: (buffer, offsets, lengths, count) => void device.write(buffer, offsets, lengths, count),
  })
  let timer: NodeJS.Timeout | undefined
  let timerAt = Number.POSITIVE_INFINITY
  let pending = false
  let closed = false

  const arm = () => {
    const at = stack.nextDeadline()
    // A timer that fires too early costs one look; moving it for every segment would cost more.
    if (at >= timerAt) return
    clearTimeout(timer)
    timerAt = at
    timer = setTimeout(onTimer, Math.max(0, at - performance.now()))
  }
  const onTimer = () => {
    timerAt = Number.POSITIVE_INFINITY
    const now = performance.now()
    stack.tick(now)
    stack.flush(now)
    arm()
  }
  const flush = () => {
    pending = false
    if (closed) return
    stack.flush(performance.now())
    arm()
  }

  const wake = () => {
    if (pending) return
    pending = true
    process.nextTick(flush)
  }

  device.start((buffer, offsets, lengths, count) => {
    const now = performance.now()
    stack.input(buffer, offsets, lengths, count, now)
    // Behind what the frames made the tunnel say, which has the longer way.
    wake()
  }, onError)

  return {
    stack,
    wake,
    close: () => {
      if (closed) return
      stack.close()
      stack.flush(performance.now())
      closed = true
      clearTimeout(timer)
      device.close()
    },
  }
}
