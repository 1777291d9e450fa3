// Writes an environment as text that other programs read. A variable that the format cannot hold is left out and named; no value
// is ever changed. Pure.
import type { PlaceVariable } from '../control/place.ts'

export type EnvFormat = 'dotenv' | 'json' | 'shell' | 'docker'

export interface Formatted {
  text: string
  /** Names of variables that the format cannot hold. */
  leftOut: string[]
}

// POSIX.1-2024 3.216: what a shell can assign to.
const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** docker reads a file with a longer line not at all: "bufio.Scanner: token too long". */
const MOST_DOCKER = 65_536
const DOTENV_NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/

const lines: Record<Exclude<EnvFormat, 'json'>, (variable: PlaceVariable) => string | undefined> = {
  shell: ({ name, value }) =>
    SHELL_NAME.test(name) && !value.includes('\0') ? `export ${name}='${value.replaceAll("'", `'\\''`)}'` : undefined,
  // docker run --env-file: no quotes; the rest of the line is the value, without a carriage return at its end.
  docker: ({ name, value }) => {
    if (!/^[^\s=#\0][^\s=\0]*$/.test(name) || /[\n\0]|\r$/.test(value)) return undefined
    const line = `${name}=${value}`
    return Buffer.byteLength(line) < MOST_DOCKER ? line : undefined
  },
  dotenv: ({ name, value }) => {
    const quoted = DOTENV_NAME.test(name) ? dotenvValue(value) : undefined
    return quoted === undefined ? undefined : `${name}=${quoted}`
  },
}

export function formatEnvironment(variables: PlaceVariable[], format: EnvFormat): Formatted {
  if (format === 'json') {
    const object = Object.fromEntries(variables.map(({ name, value }) => [name, value]))
    return { text: `${JSON.stringify(object, null, 2)}\n`, leftOut: [] }
  }
  const leftOut: string[] = []
  const text = variables.map((variable) => {
    const line = lines[format](variable)
    if (line === undefined) leftOut.push(variable.name)
    return line === undefined ? '' : `${line}\n`
  })
  return { text: text.join(''), leftOut }
}

/**
 * A form that dotenv for Node, `node --env-file`, python-dotenv and docker compose read alike; undefined where there is none. They agree
 * on what is in single quotes, unless a backslash may be taken to escape; in double quotes some of them know `\` and `$`.
 */
function dotenvValue(value: string): string | undefined {
  if (/[\r\0]/.test(value)) return undefined
  if (/^[A-Za-z0-9_./:@%+,-]*$/.test(value)) return value
  if (!/'|\\\\|\\$/.test(value)) return `'${value}'`
  if (!/["\\$]/.test(value)) return `"${value}"`
  return undefined
}
