// Asks a person at a terminal: which of several, or for a word. Whole lines only, as the terminal itself edits them, so
// that it works wherever a terminal does.
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { visible } from '../base/visible.ts'
import { CliError } from './output.ts'

export interface Terminal {
  input: Readable & { isTTY?: boolean }
  output: Writable & { isTTY?: boolean }
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
  readonly #output: Writable
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
   * The one that a person chooses, by its number or by as much of its name as only one begins with. Rejects with CliError
   * when they leave by Ctrl-C or Ctrl-D.
   */
  choose<T>(question: string, choices: Choice<T>[]): Promise<T> {
    const width = Math.max(...choices.map(({ name }) => name.length))
    const digits = String(choices.length).length
    for (const [i, { name, detail }] of choices.entries())
      this.#output.write(`  ${String(i + 1).padStart(digits)}  ${visible(name).padEnd(width)}  ${visible(detail)}\n`)
    const how = choices.length === 1 ? '1, or its name' : `1-${choices.length}, or a name`
    return this.ask(`${question} (${how}): `, (text) => chosen(choices, text))
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

function chosen<T>(choices: Choice<T>[], text: string): { value: T } | string {
  const byNumber = /^\d+$/.test(text) ? choices[Number(text) - 1] : undefined
  const exact = choices.filter(({ name }) => name === text)
  const found = exact.length > 0 ? exact : choices.filter(({ name }) => text !== '' && name.startsWith(text))
  const one = byNumber ?? (found.length === 1 ? found[0] : undefined)
  if (one) return { value: one.value }
  return found.length > 1 ? `several begin with ${text}` : 'that is none of them'
}
