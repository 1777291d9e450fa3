// What people see: steps and errors on stderr, results on stdout; colour only on a terminal and without NO_COLOR.
import { visibleJson } from '../base/visible.ts'
import type { Progress } from '../control/protocol.ts'
import { asTyped } from './self.ts'
import { own } from './terminal.ts'

/** Exit codes (docs/reference/commands.md). */
export const EXIT = { done: 0, failed: 1, usage: 2, notConnected: 3 } as const

const colourful = (stream: NodeJS.WriteStream) => stream.isTTY === true && !process.env['NO_COLOR']
const paint = (code: number) => (stream: NodeJS.WriteStream, text: string) =>
  colourful(stream) ? `${own(`\x1b[${code}m`)}${text}${own('\x1b[0m')}` : text
export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)
export const yellow = paint(33)

/** An error that reaches the user: what and why, what to do, and the exit code. */
export class CliError extends Error {
  readonly hint: string
  readonly exitCode: number

  constructor(message: string, hint: string, exitCode: number = EXIT.failed) {
    super(message)
    this.name = 'CliError'
    this.hint = hint
    this.exitCode = exitCode
  }
}

/** Two lines on stderr: what and why, what to do. */
export function printError(message: string, hint: string): void {
  process.stderr.write(`${red(process.stderr, 'error:')} ${asTyped(oneLine(message))}\n`)
  if (hint) process.stderr.write(`${dim(process.stderr, '       ')}${asTyped(oneLine(hint))}\n`)
}

/** A step as it ends (or a note), one line. */
export function printProgress(progress: Progress): void {
  const out = process.stderr
  if (progress.state === 'running') {
    if (process.env['KT_LOG'] === 'debug')
      out.write(`  ${dim(out, '…')} ${progress.step.padEnd(9)} ${progress.detail}\n`)
    return
  }
  const mark = progress.state === 'note' ? yellow(out, '!') : green(out, '✓')
  const took = progress.state === 'done' && progress.ms >= 100 ? dim(out, `  ${(progress.ms / 1000).toFixed(1)} s`) : ''
  out.write(`  ${mark} ${progress.step.padEnd(9)} ${asTyped(oneLine(progress.detail))}${took}\n`)
}

export function printJson(value: unknown): void {
  process.stdout.write(`${visibleJson(value, 2)}\n`)
}

/** Aligned `name  value` rows on stdout; rows without a value are left out. */
export function printFields(fields: [name: string, value: string | undefined][]): void {
  for (const line of fieldLines(fields)) process.stdout.write(`${line}\n`)
}

/** What `printFields` prints, without line ends. */
export function fieldLines(fields: [name: string, value: string | undefined][]): string[] {
  const shown = fields.filter(([, value]) => value !== undefined && value !== '')
  if (shown.length === 0) return []
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.flatMap(([name, value]) =>
    value!.split('\n').map((line, i) => `${dim(process.stdout, (i === 0 ? name : '').padEnd(width))}  ${line}`),
  )
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let i = 0
  while (bytes >= 1000 && i < units.length - 1) {
    bytes /= 1000
    i++
  }
  return `${i === 0 ? bytes : bytes.toFixed(1)} ${units[i]}`
}

export function formatAge(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ')
}
