// The kernel's TUN as a TunDevice, by the addon in native/. Opening one needs CAP_NET_ADMIN; attaching to a descriptor
// that was inherited needs nothing, so the helper opens it and the engine attaches.
import { constants } from 'node:os'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { loadAddon } from '../base/installation.ts'
import type { FrameSink, TunDevice } from './device.ts'

/** What the kernel may leave undone on packets it sends, and takes undone from us. */
export interface Offload {
  readonly csum: boolean
  readonly tso4: boolean
  readonly tso6: boolean
}

/** A TUN of this machine. `close` closes the descriptor; the interface goes with the last one. */
export interface NativeTunDevice extends TunDevice {
  readonly fd: number
  readonly offload: Offload
}

export class TunError extends Error {
  /** Name of the errno: ENOENT (no /dev/net/tun), EPERM (not root), EBUSY, EINVAL, ... */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'TunError'
    this.code = code
  }
}

interface Description {
  fd: number
  name: string
  mtu: number
  offload: Offload
}

interface Addon {
  open(name: string, mtu: number): Description
  attach(fd: number): Description
  mtu(fd: number): number
  start(
    fd: number,
    arena: Uint8Array,
    offsets: Uint32Array,
    lengths: Uint32Array,
    callback: (count: number, errno: number) => void,
  ): void
  stop(fd: number): void
  write(fd: number, arena: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number): number
  close(fd: number): void
  receive(socket: number): number
  peer(socket: number): number
}

// A batch: about 15 super-segments of 64 KiB, or 512 small packets. More of either only lengthens the time until other
// sockets get their turn.
const ARENA_BYTES = 1 << 20
const BATCH_FRAMES = 512

let loaded: Addon | undefined
function addon(): Addon {
  loaded ??= loadAddon<Addon>('kt_tun.node')
  return loaded
}

/**
 * Opens a new TUN. In `name`, `%d` becomes the first free number (`kt%d`); `mtu` in bytes, the kernel's 1500 if not
 * given. Throws TunError.
 */
export function openTun(name = 'kt%d', mtu = 0): NativeTunDevice {
  return device(() => addon().open(name, mtu))
}

/** The TUN behind an inherited descriptor. Throws TunError if it is none. */
export function attachTun(fd: number): NativeTunDevice {
  return device(() => addon().attach(fd))
}

/**
 * A descriptor that came through a Unix socket. It does not wait. Throws TunError: EAGAIN where none has come, EPIPE where a
 * message brought none.
 */
export function receiveDescriptor(socket: number): number {
  return systemCall(() => addon().receive(socket))
}

/** The user id of whoever connected a Unix socket, as the kernel has it. Throws TunError where there is none. */
export function peerOf(socket: number): number {
  return systemCall(() => addon().peer(socket))
}

function device(describe: () => Description): NativeTunDevice {
  const native = addon()
  const { fd, name, offload } = systemCall(describe)
  let state: 'idle' | 'started' | 'closed' = 'idle'
  return {
    fd,
    name,
    offload,
    get mtu() {
      return systemCall(() => native.mtu(fd))
    },
    start(receive: FrameSink, onError: (error: Error) => void): void {
      if (state !== 'idle') throw new Error(`${name} is ${state}`)
      const arena = new Uint8Array(ARENA_BYTES)
      const offsets = new Uint32Array(BATCH_FRAMES)
      const lengths = new Uint32Array(BATCH_FRAMES)
      systemCall(() =>
        native.start(fd, arena, offsets, lengths, (count, errno) => {
          if (count > 0) receive(arena, offsets, lengths, count)
          if (errno !== 0 && state === 'started') {
            native.stop(fd)
            const why = getSystemErrorMessage(-errno)
            onError(new TunError(getSystemErrorName(-errno), `the interface ${name} is gone: ${why}`))
          }
        }),
      )
      state = 'started'
    },
    write(buffer, offsets, lengths, count): number {
      return state === 'closed' ? 0 : native.write(fd, buffer, offsets, lengths, count)
    },
    close(): void {
      if (state === 'closed') return
      state = 'closed'
      native.close(fd)
    },
  }
}

function systemCall<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (error instanceof Error && code !== undefined && code in constants.errno) throw new TunError(code, error.message)
    throw error
  }
}
