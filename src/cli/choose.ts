// Asks a person at a terminal: which of several, or for a word. Whole lines only, as the terminal itself edits them, so
// that it works wherever a terminal does.
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { visible } from '../base/visible.ts'
import { CliError } from './output.ts'

export interface Terminal {
  input: Readable & { isTTY?: boolean }
  output: Writable & { isTTY?: boolean; rows?: number; columns?: number }
}

/** Standard input and error: what a command prints may go elsewhere. */
export const ownTerminal: Terminal = { input: process.stdin, output: process.stderr }

export interface Choice<T> {
  value: T
  name: string
  detail: string
}

/** Questions one after the other. What was typed ahead answers the next one. */
export class Dialogue implements Disposable {
  readonly #output: Terminal['output']
  readonly #lines: Interface
  readonly #typed: string[] = []
  #wake: () => void = () => {}
  #over = false
  readonly #onSignal = () => this.#end()

  /** Only where it is `possible`: somebody must be there to answer. */
  constructor({ input, output }: Terminal) {
    this.#output = output
    this.#lines = createInterface({ input, terminal: false })
    this.#lines.on('line', (line) => {
      this.#typed.push(line.trim())
      this.#wake()
    })
    this.#lines.on('close', this.#onSignal)
    this.#lines.on('error', this.#onSignal)
    input.on('error', this.#onSignal)
    process.on('SIGINT', this.#onSignal)
  }

  static possible({ input, output }: Terminal): boolean {
    return input.isTTY === true && output.isTTY === true
  }

  /**
   * The one that a person chooses, by its number, its name, or a part that no other name has. A part that several have
   * shows those. Rejects with CliError when they leave by Ctrl-C or Ctrl-D.
   */
  choose<T>(question: string, choices: Choice<T>[]): Promise<T> {
    const numbered = choices.map((choice, i) => ({ ...choice, number: i + 1 }))
    this.#show(numbered)
    const how = choices.length === 1 ? '1, or its name' : `1-${choices.length}, or a name`
    return this.ask(`${question} (${how}): `, (text) => {
      const found = chosen(numbered, text)
      if (found.length === 1) return { value: found[0].value }
      if (found.length === 0) return 'that is none of them'
      this.#show(found)
      return `several have ${text} in their names`
    })
  }

  /** As many as the terminal takes, each on a line of its own. */
  #show<T>(choices: Numbered<T>[]): void {
    const { rows = 24, columns = Number.POSITIVE_INFINITY } = this.#output
    const room = Math.max(5, rows - 4)
    const shown = choices.length > room ? choices.slice(0, room - 1) : choices
    const width = Math.max(...shown.map(({ name }) => name.length))
    const digits = String(shown.at(-1)!.number).length
    for (const { number, name, detail } of shown) {
      const line = `  ${String(number).padStart(digits)}  ${visible(name).padEnd(width)}  `
      // The name is never cut; its detail is, where a line would be longer than the terminal is wide.
      const left = Math.max(0, columns - line.length)
      const cut =
        visible(detail).length > left ? `${visible(detail).slice(0, Math.max(0, left - 1))}…` : visible(detail)
      this.#output.write(`${line}${cut}`.trimEnd().concat('\n'))
    }
    const more = choices.length - shown.length
    if (more > 0) this.#output.write(`  … and ${more} more: a part of a name shows those that have it\n`)
  }

  /** Asks until `read` makes a value of the answer; a string says what is wrong with it. Rejects as `choose` does. */
  async ask<T>(question: string, read: (text: string) => { value: T } | string): Promise<T> {
    for (;;) {
      this.#output.write(question)
      const answer = read(await this.#line())
      if (typeof answer !== 'string') return answer.value
      this.#output.write(`${visible(answer)}\n`)
    }
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal)
    this.#lines.off('close', this.#onSignal)
    this.#lines.close()
  }

  async #line(): Promise<string> {
    while (this.#typed.length === 0) {
      if (this.#over) {
        this.#output.write('\n')
        throw new CliError('nothing was chosen, and nothing was begun', 'the same command asks again')
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#typed.shift()!
  }

  #end(): void {
    this.#over = true
    this.#wake()
  }
}

interface Numbered<T> extends Choice<T> {
  number: number
}

/** Those that `text` may mean; one, where it is clear. */
function chosen<T>(choices: Numbered<T>[], text: string): Numbered<T>[] {
  if (text === '') return []
  const byNumber = choices.filter(({ number }) => String(number) === text)
  if (byNumber.length > 0) return byNumber
  const exact = choices.filter(({ name }) => name === text)
  if (exact.length > 0) return exact
  const begins = choices.filter(({ name }) => name.startsWith(text))
  if (begins.length === 1) return begins
  return choices.filter(({ name }) => name.includes(text))
}
