// Sessions shown in the documents, as programs: a block ```console has lines `$ command`, below each what it prints. A line
// `…` stands for any lines, `…` inside a line for any text; `^C` ends the command above it that holds the terminal, which may be
// followed by what it says then. `# another terminal` and the like are for people.
import assert from 'node:assert/strict'

export interface Step {
  command: string
  /** Line of the document, from 1. */
  line: number
  /** What it prints, as lines with `…`. Empty: anything. */
  expected: string[]
  /** Set when `^C` ends it: what it prints from then on. */
  afterInterrupt?: string[]
  /** Of a held command: the step (by index) before which `^C` comes; the number of steps when it comes last. */
  interruptedBefore?: number
}

/** The sessions of a document, in order. Throws Error on a block that cannot be read. */
export function consoleSteps(markdown: string): Step[] {
  const steps: Step[] = []
  const lines = markdown.split('\n')
  let inside = false
  let into: string[] | undefined
  lines.forEach((text, index) => {
    if (/^```/.test(text)) {
      inside = !inside && text.trim() === '```console'
      into = undefined
      return
    }
    if (!inside) return
    if (text.startsWith('$ ')) {
      into = []
      steps.push({ command: text.slice(2), line: index + 1, expected: into })
    } else if (text.trim() === '^C') {
      // The last that is not ended yet and is not followed by its own prompt at once.
      const held = steps.findLast((step) => step.afterInterrupt === undefined && holds(step.command))
      if (!held) throw new Error(`line ${index + 1}: ^C, but no command holds the terminal`)
      into = []
      held.afterInterrupt = into
      held.interruptedBefore = steps.length
    } else if (/^#/.test(text)) into = undefined
    else if (into && text.trim()) into.push(text)
  })
  return steps
}

/** Commands that hold the terminal until they are told to end. */
export function holds(command: string): boolean {
  return (
    /^(sudo )?kt (exchange|mesh|run|preview|forward|dashboard|proxy)\b|^kt (logs -f|.*--watch|.*--pcap)/.test(
      command,
    ) && !/--background|--help/.test(command)
  )
}

/** A pattern for expected lines: `…` is any text, or any lines where it stands alone. Trailing blanks do not count. */
export function expectation(expected: string[]): RegExp {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/ +/g, '[ \\t]+')
  const parts = expected.map((line) =>
    line.trim() === '…'
      ? '(?:.*\\n)*?'
      : `${line.trimEnd().replace(/ +…$/, '').split('…').map(literal).join('.*')}${/ …$/.test(line.trimEnd()) ? '(?:[ \\t].*)?' : '[ \\t]*'}\\n`,
  )
  return new RegExp(`^${parts.join('')}`, 'm')
}

/** Fails with both texts when `output` does not have the expected lines. Blank lines do not count. */
export function assertShown(step: Step, expected: string[], output: string, document: string): void {
  if (expected.length === 0) return
  const said = `${output
    .replace(/\r/g, '')
    .replace(/\n\s*\n/g, '\n')
    .trimEnd()}\n`
  assert.match(said, expectation(expected), `${document}:${step.line}: $ ${step.command}\n${said}`)
}
