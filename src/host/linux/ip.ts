// Calls of iproute2's `ip`.
import type { Effects } from '../effects.ts'
import { HostError } from '../errors.ts'

/** Runs lines as one batch. Throws HostError that names the line that failed. */
export async function ipBatch(effects: Effects, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  const { code, stderr } = await ip(effects, ['-batch', '-'], `${lines.join('\n')}\n`)
  if (code === 0) return
  const number = /Command failed -:(\d+)/.exec(stderr)?.[1]
  const why = stderr
    .split('\n')[0]
    .replace(/^(RTNETLINK answers|Error): /, '')
    .trim()
  const line = number ? lines[Number(number) - 1] : lines[0]
  throw new HostError(
    'command-failed',
    `ip ${line}: ${why}`,
    'this is unexpected; `kt logs` has more; please report it',
  )
}

/** Runs a query, returns its JSON; undefined where `ip` says there is no such thing. */
export async function ipQuery<T>(effects: Effects, ...args: string[]): Promise<T | undefined> {
  const { code, stdout } = await ip(effects, ['-json', ...args])
  if (code !== 0) return undefined
  return JSON.parse(stdout.trim() || '[]') as T
}

/** Answers of a batch of queries, in order: one JSON text a line. Stops at none that fails; those are undefined. */
export async function ipQueries<T>(effects: Effects, lines: readonly string[]): Promise<(T | undefined)[]> {
  if (lines.length === 0) return []
  const { stdout, stderr } = await ip(effects, ['-json', '-force', '-batch', '-'], `${lines.join('\n')}\n`)
  const failed = new Set([...stderr.matchAll(/Command failed -:(\d+)/g)].map((match) => Number(match[1])))
  const answers = stdout.split('\n').filter((line) => line.startsWith('[{'))
  let next = 0
  return lines.map((_, i) => (failed.has(i + 1) ? undefined : (JSON.parse(answers[next++] ?? '[]') as T)))
}

async function ip(effects: Effects, args: string[], input?: string) {
  try {
    const result = await effects.run(['ip', ...args], input)
    // Alpine has this one; it knows neither JSON nor batches.
    if (result.stderr.startsWith('BusyBox ')) throw missing("the command `ip` is BusyBox's, which kt cannot use")
    return result
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw missing('the command `ip` is missing')
  }
}

function missing(message: string): HostError {
  const hint = 'install iproute2, for example: apt-get install iproute2, or on Alpine: apk add iproute2'
  return new HostError('command-missing', message, hint)
}
