// Connections to the agent that have not shown yet what they are. Anybody who may port-forward to the pod can open many of
// them and say nothing, and a client that comes back to its line must get in nevertheless.
import type { Path } from '../transport/path.ts'

/** So many at a time. A client says at once what it wants, and each stranger has a buffer of 128 KiB. */
const MOST_STRANGERS = 128

export class Strangers {
  /** Oldest first. */
  readonly #paths = new Set<Path>()

  /**
   * Counts the connection `path` until `known` is called, or it ends. When there are too many, the oldest is closed. The
   * caller reads the `path` that is returned instead of its own.
   */
  take(path: Path): { path: Path; known: () => void } {
    const [oldest] = this.#paths
    if (oldest && this.#paths.size >= MOST_STRANGERS) {
      this.#paths.delete(oldest)
      oldest.destroy()
    }
    this.#paths.add(path)
    const known = () => void this.#paths.delete(path)
    return {
      path: {
        ...path,
        start: (onData, onClose) =>
          path.start(onData, (error) => {
            known()
            onClose(error)
          }),
      },
      known,
    }
  }
}
