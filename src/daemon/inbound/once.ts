// Tells a person of something that goes wrong for many connections once, and again only after it went well.

export class Complaints {
  readonly #say: (line: string) => void
  readonly #told = new Set<string>()

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  /** `what` names the kind of trouble: one line of each kind until `well`. */
  complain(what: string, line: string): void {
    if (this.#told.has(what)) return
    this.#told.add(what)
    this.#say(line)
  }

  /** True if there was trouble of that kind. */
  well(what: string): boolean {
    return this.#told.delete(what)
  }
}
