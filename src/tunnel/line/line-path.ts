// A path as the line uses it: frames out, and whether it is still open.
import type { Path } from '../transport/path.ts'
import type { LinePathReport } from '../tunnel.ts'
import { PATH_HEADROOM } from './frames.ts'

export class LinePath {
  readonly path: Path
  /** When it has brought something, ms of the clock; its owner sets it. */
  heardAt: number
  /** Payload bytes of DATA that it was given, and that it has brought; of the latter so many were acknowledged. */
  sent = 0
  received = 0
  ackSent = 0
  /** Messages that the kernel has not taken yet. */
  pending = 0
  /** Called when the kernel has taken everything. Acknowledgements count too: whoever sends last must not be forgotten. */
  onIdle: () => void = () => {}
  #open = true

  readonly #since: number

  constructor(path: Path, now: number) {
    this.path = path
    this.#since = now
    this.heardAt = now
  }

  report(now: number): LinePathReport {
    const { way, fate } = this.path
    return { way, ageMs: now - this.#since, endsInMs: fate?.()?.endInMs }
  }

  get open(): boolean {
    return this.#open
  }

  /** Sends a frame made by `lineFrame`. */
  send(frame: Buffer, then: () => void = () => {}): void {
    this.sendSealed(frame, PATH_HEADROOM, frame.length, then)
  }

  /** Sends the line's frame `slab[start .. end)`; the path's header is written in front of it. */
  sendSealed(slab: Buffer, start: number, end: number, then: () => void = () => {}): void {
    if (!this.#open) return
    const begin = this.path.framing.seal(slab, start, end)
    this.pending++
    this.path.send(slab.subarray(begin, end), () => {
      this.pending--
      if (!this.#open) return
      then()
      if (this.pending === 0) this.onIdle()
    })
  }

  /** The same for DATA with `payload` bytes of payload. */
  sendData(slab: Buffer, start: number, end: number, payload: number): void {
    this.sent += payload
    this.sendSealed(slab, start, end)
  }

  /** It is gone: nothing that it still calls back counts. */
  lost(): void {
    this.#open = false
  }

  /** Closes it when what was sent has left; nothing that it brings meanwhile counts. */
  end(): void {
    if (!this.#open) return
    this.#open = false
    this.path.end()
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.path.destroy()
  }
}
