// The connections that the agent serves for the cluster without a client: counted, and when the pod is to end, ended where nobody
// waits for an answer, so that no request fails for it.

import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import { type Clock, every } from '../base/clock.ts'
import { resetSocket } from '../base/reset.ts'
import type { Endpoint } from '../wire/address.ts'

/** An original that has been quiet so long after its last bytes has answered. */
const QUIET_MS = 5
const CHECK_MS = 10

export class Passing {
  readonly #pairs = new Set<Pair>()
  readonly #clock: Clock
  #others = 0
  #drained: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Joins an accepted socket to a new connection to `original`; without one, or when it cannot be reached, it is reset. */
  join(socket: Socket, original: Endpoint | undefined): void {
    if (!original) {
      resetSocket(socket)
      return
    }
    const pair = new Pair(socket, connect(options(original)), this.#clock, () => {
      this.#pairs.delete(pair)
      this.#check()
    })
    this.#pairs.add(pair)
  }

  /** Counts a connection until the returned function is called. */
  count(): () => void {
    this.#others++
    return () => {
      this.#others--
      this.#check()
    }
  }

  /** Ends connections as they become idle. Resolves when there are none, or after `timeoutMs`. New ones are served. */
  async drain(timeoutMs: number): Promise<void> {
    const cancel = this.#clock.after(timeoutMs, () => this.#drained?.())
    const stopChecking = every(CHECK_MS, this.#clock, () => this.#check())
    await new Promise<void>((resolve) => {
      this.#drained = resolve
      this.#check()
    })
    stopChecking()
    cancel()
  }

  #check(): void {
    if (!this.#drained) return
    for (const pair of this.#pairs) pair.endIfIdle()
    if (this.#pairs.size === 0 && this.#others === 0) this.#drained()
  }
}

/**
 * A connection of its own to `original`, given up when `gone` is aborted. Rejects with what the kernel said, or when there is
 * none.
 */
export function dialOriginal(original: Endpoint | undefined, gone?: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (!original) {
      reject(new Error('there is no original'))
      return
    }
    const socket = connect(options(original))
    // It may be reset before somebody else listens, and after.
    socket.on('error', () => {})
    const giveUp = () => socket.destroy(new Error('the caller is gone'))
    if (gone?.aborted) giveUp()
    gone?.addEventListener('abort', giveUp, { once: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      gone?.removeEventListener('abort', giveUp)
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function options({ address, port }: Endpoint): TcpNetConnectOpts {
  return { host: address.toString(), port, allowHalfOpen: true, noDelay: true }
}

class Pair {
  readonly #caller: Socket
  readonly #onward: Socket
  readonly #clock: Clock
  #lastAnswer = 0
  #waiting = false

  constructor(caller: Socket, onward: Socket, clock: Clock, over: () => void) {
    this.#caller = caller
    this.#onward = onward
    this.#clock = clock
    let open = 2
    const closed = () => {
      if (--open === 0) over()
    }
    follow(caller, onward, closed)
    follow(onward, caller, closed)
    // Nothing is taken of the caller before there is somebody to give it to; but to read ahead is how its reset is noticed.
    caller.read(0)
    onward.on('connect', () => {
      caller.on('data', () => {
        this.#waiting = true
      })
      onward.on('data', () => {
        this.#waiting = false
        this.#lastAnswer = clock.now()
      })
      caller.pipe(onward)
      onward.pipe(caller)
    })
  }

  /** FIN to both sides if the last to speak was the original, or nobody did. */
  endIfIdle(): void {
    if (this.#waiting || this.#onward.connecting || this.#clock.now() - this.#lastAnswer < QUIET_MS) return
    if (this.#caller.writableLength > 0) return
    this.#caller.end()
    this.#onward.end()
  }
}

/** Resets `other` when `socket` ends otherwise than by FIN in both directions. */
function follow(socket: Socket, other: Socket, closed: () => void): void {
  socket.on('error', () => resetSocket(other))
  socket.on('close', () => {
    if (!(socket.readableEnded && socket.writableFinished)) resetSocket(other)
    closed()
  })
}
