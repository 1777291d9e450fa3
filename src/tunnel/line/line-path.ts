// A path as the line uses it: frames out, and whether it is still open.
import type { Path } from '../transport/path.ts'
import { PATH_HEADROOM } from './frames.ts'

export class LinePath {
  readonly path: Path
  /** Messages that the kernel has not taken yet. */
  pending = 0
  /** Called when the kernel has taken everything. Acknowledgements count too: whoever sends last must not be forgotten. */
  onIdle: () => void = () => {}
  #open = true

  constructor(path: Path) {
    this.path = path
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

  /** It is gone: nothing that it still calls back counts. */
  lost(): void {
    this.#open = false
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.path.destroy()
  }
}
