// A body's text with what looks like a secret hidden: by the names of its fields in JSON, forms and XML, and by the
// shape of values. The text may end anywhere, so none of these formats is parsed as a whole. Pure.
import { HIDDEN } from './secrets.ts'

// Not `author`, but `authorization` and `oauth`.
const SECRET_NAME =
  /auth(?!or(?!i))|cookie|token|secret|passw|passphrase|api[-_]?key|access[-_]?key|private[-_]?key|signature|credential|session|csrf|xsrf|jwt|^(?:pwd|pin|otp|cvv|cvc)$/i
/** Where forms and queries name a credential so: the `code` of OAuth, keys and signatures of links. */
const SECRET_FIELD = /key$|^sig$|^code$/i
/** What follows a scheme of RFC 9110 11.4, JSON Web Tokens, private keys, keys of well-known services. */
const SECRET_VALUE =
  /\b(?:bearer|basic)\s+[\w.~+/=-]{8,}|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|$)|\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|sk-[\w-]{20,}|xox[abprs]-[\w-]+)/gi

/** `type` is the content-type, as far as it is known. */
export function bodyWithoutSecrets(text: string, type: string): string {
  let shown = text
  if (/^application\/x-www-form-urlencoded/i.test(type)) shown = withoutFormSecrets(shown)
  else {
    if (/^multipart\//i.test(type)) shown = withoutPartSecrets(shown)
    shown = withoutXmlSecrets(withoutJsonSecrets(shown))
  }
  return shown.replace(SECRET_VALUE, HIDDEN)
}

function withoutFormSecrets(text: string): string {
  return text
    .split('&')
    .map((field) => {
      const equals = field.indexOf('=')
      const name = field.slice(0, equals)
      return equals > 0 && (SECRET_NAME.test(name) || SECRET_FIELD.test(name)) ? `${name}=${HIDDEN}` : field
    })
    .join('&')
}

/** RFC 7578: a part's content comes after the empty line behind its headers. */
function withoutPartSecrets(text: string): string {
  const part = /(name="([^"\r\n]*)"[^\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)([\s\S]*?)(?=\r?\n--|$)/g
  return text.replace(part, (whole, head: string, name: string) => (SECRET_NAME.test(name) ? head + HIDDEN : whole))
}

function withoutXmlSecrets(text: string): string {
  return text.replace(/(<(?:[\w-]+:)?([\w.-]+)(?:\s[^<>]*)?>)([^<]+)/g, (whole, tag: string, name: string) =>
    SECRET_NAME.test(name) ? tag + HIDDEN : whole,
  )
}

/**
 * The value behind each name that looks secret is replaced, whatever it is: a string, a number, a list or an object. Also
 * in JSON that is the text of a JSON string, where each quote has a backslash in front of it, or three, or seven.
 */
function withoutJsonSecrets(text: string): string {
  const name = /(?<!\\)(\\{0,7})"([^"\\]{1,100})\1"\s*:\s*/g
  let shown = ''
  let from = 0
  for (let found = name.exec(text); found; found = name.exec(text)) {
    const [, slashes, called] = found
    const start = name.lastIndex
    if (!SECRET_NAME.test(called)) continue
    // These say that there is something, and not what.
    if (/^(?:true|false|null)\b/.test(text.slice(start, start + 6))) continue
    const end = endOfValue(text, start, slashes.length)
    shown += `${text.slice(from, start)}${slashes}"${HIDDEN}${slashes}"`
    from = end
    name.lastIndex = end
  }
  return shown + text.slice(from)
}

/** Where the JSON value that begins at `start` ends, or the text does. `slashes`: in front of each quote. */
function endOfValue(text: string, start: number, slashes: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      at = endOfString(text, at, slashes)
      if (depth === 0) return Math.min(at + 1, text.length)
    } else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') {
      if (depth === 0) return at
      if (--depth === 0) return at + 1
    } else if (depth === 0 && /[,\s]/.test(character)) return at
  }
  return text.length
}

/** Where the closing quote of the string is that begins at `start`, or the end of the text. */
function endOfString(text: string, start: number, slashes: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = 0
    while (text[at - before - 1] === '\\') before++
    // A quote within the string has one escape more, and a backslash within it is a pair of what stands for one.
    if (before % (2 * (slashes + 1)) === slashes) return at
  }
  return text.length
}
