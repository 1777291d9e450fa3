// The error of everything a person can meet. What they read is made where the cause is known, and shown at the edge.

/** `message` says what happened and why, `hint` what to do, one line each; `code` is stable. */
export class ToldError<Code extends string = string> extends Error {
  override readonly name: string = 'ToldError'
  readonly code: Code
  readonly hint: string

  constructor(code: Code, message: string, hint: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}
