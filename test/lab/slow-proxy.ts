// A TCP proxy that holds every chunk for a while in each direction, in place of tc netem, which many kernels lack. It
// delays and stalls; it does not lose packets, since TCP ends in it.
import { once } from 'node:events'
import net from 'node:net'

export interface SlowProxy {
  set(settings: { delayMs?: number; stalled?: boolean }): void
  cut(): void
}

/** At most this much is held a direction before the sender is made to wait: 40 ms at 100 MB/s, twice. */
const heldLimit = 8 << 20

export async function startSlowProxy(host: string, port: number, toHost: string, toPort: number): Promise<SlowProxy> {
  const state = { delayMs: 0, stalled: false }
  const lines = new Set<Line>()
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = net.connect({ host: toHost, port: toPort, allowHalfOpen: true, noDelay: true })
    const pair = [new Line(near, far, state), new Line(far, near, state)]
    for (const line of pair) lines.add(line)
    for (const socket of [near, far]) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        for (const line of pair) lines.delete(line)
        near.destroy()
        far.destroy()
      })
    }
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    set(settings) {
      Object.assign(state, settings)
      for (const line of lines) line.deliver()
    },
    cut() {
      for (const line of lines) line.reset()
    },
  }
}

class Line {
  #held: { at: number; chunk: Buffer | undefined }[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  readonly #from: net.Socket
  readonly #to: net.Socket
  readonly #state: { delayMs: number; stalled: boolean }

  constructor(from: net.Socket, to: net.Socket, state: { delayMs: number; stalled: boolean }) {
    this.#from = from
    this.#to = to
    this.#state = state
    from.on('data', (chunk) => this.#take(chunk))
    from.on('end', () => this.#take(undefined))
    to.on('drain', () => this.deliver())
  }

  #take(chunk: Buffer | undefined): void {
    this.#held.push({ at: performance.now() + this.#state.delayMs, chunk })
    this.#bytes += chunk?.length ?? 0
    if (this.#bytes > heldLimit) this.#from.pause()
    this.deliver()
  }

  /** Passes on what is due. */
  deliver(): void {
    clearTimeout(this.#timer)
    const now = performance.now()
    while (this.#held.length > 0 && !this.#state.stalled && !this.#to.writableNeedDrain) {
      const { at, chunk } = this.#held[0]
      if (at > now) {
        this.#timer = setTimeout(() => this.deliver(), at - now)
        break
      }
      this.#held.shift()
      if (!chunk) this.#to.end()
      else {
        this.#bytes -= chunk.length
        this.#to.write(chunk)
      }
    }
    if (this.#bytes <= heldLimit && this.#from.isPaused()) this.#from.resume()
  }

  reset(): void {
    clearTimeout(this.#timer)
    this.#from.resetAndDestroy()
  }
}
