/** How many bytes the heads of messages that are under way may hold together. */
export class HeadMemory {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** False when there is no room. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  give(bytes: number): void {
    this.#left += bytes
  }
}
