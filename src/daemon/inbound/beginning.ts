// What a caller has said on a connection that the local program has not answered yet. A program that restarts ends such connections; what
// they said can be said again to its successor. Pure.

/** A request's head and a small body. What is longer is not kept. */
const MOST_BYTES = 16 * 1024
// RFC 9110 9.2.2: methods that may be sent again, since a second time changes nothing more.
const REPEATABLE = /^(GET|HEAD|OPTIONS|TRACE|PUT|DELETE) [^ \r\n]+ HTTP\/1\.[01]\r?\n/

export class Beginning {
  readonly #chunks: Buffer[] = []
  #length = 0
  #whole = true

  add(chunk: Uint8Array): void {
    this.#length += chunk.length
    this.#whole &&= this.#length <= MOST_BYTES
    if (this.#whole) this.#chunks.push(Buffer.from(chunk))
    else this.#chunks.length = 0
  }

  /** All that was said; undefined where it was too much. */
  get bytes(): Buffer | undefined {
    return this.#whole ? Buffer.concat(this.#chunks) : undefined
  }

  /**
   * Whether another program may be told the same. `reset`: the kernel had bytes that the program did not read, or had not even given it
   * the connection (Linux resets a connection for these reasons when its process ends), so nobody has acted upon them. `ended`: it has
   * read them, and may have done what they ask for.
   */
  mayRepeat(how: 'reset' | 'ended', callerEnded: boolean): boolean {
    const said = this.bytes
    if (said === undefined) return false
    // A caller that only looked whether somebody answers.
    if (said.length === 0) return !callerEnded
    return how === 'reset' || this.isHarmless
  }

  /** Nothing, or a request that changes nothing more a second time. */
  get isHarmless(): boolean {
    const said = this.bytes
    return said?.length === 0 || REPEATABLE.test(said?.toString('latin1', 0, 4096) ?? '')
  }
}
