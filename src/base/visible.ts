// Text from outside on its way to a terminal or a log: a DNS answer, a message of the API server, the name of a process.
// Such text may hold characters that steer the terminal or change the order in which it shows letters. They are replaced
// by what a programmer would write for them.

// C0, DEL and C1 (ECMA-48 5.2, 5.3), and the directional formatting characters (Unicode Standard Annex 9, 2).
const STEERING = '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069'
const all = new RegExp(`[${STEERING}]`, 'g')
const names: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One character that steers, as it is written in a program: `\x1b`, `\u202e`, `\n`. */
export function written(character: string): string {
  const code = character.charCodeAt(0)
  const digits = code.toString(16)
  return names[character] ?? (code < 0x100 ? `\\x${digits.padStart(2, '0')}` : `\\u${digits.padStart(4, '0')}`)
}

/** `text` on one line, with every character that steers a terminal made visible. */
export function visible(text: string): string {
  return text.replace(all, written)
}

/** The same, but line ends and tabs stay. */
export function visibleLines(text: string): string {
  return text.replace(all, (character) => (character === '\n' || character === '\t' ? character : written(character)))
}

/** JSON text in which nothing steers a terminal; whoever parses it gets the same value. */
export function visibleJson(value: unknown, indent?: number): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  // JSON.stringify has escaped what C0 was in strings; the line ends that are left are its own.
  return JSON.stringify(value, null, indent).replace(all, (character) =>
    character === '\n' ? '\n' : escaped(character),
  )
}
