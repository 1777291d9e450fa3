// What is left out of a request's report because it may be a secret: values of headers and of query parameters. It is
// left out where the request is read, so that no part of kt that shows requests ever has it. Pure.
import type { HeaderField } from '../../wire/http/hpack.ts'

export const HIDDEN = '(hidden)'

// Substrings, since people name their own: x-auth-token, my-api-key, proxy-authorization.
const SECRET_NAME =
  /auth|cookie|token|secret|passw|api[-_]?key|access[-_]?key|private[-_]?key|signature|credential|session|csrf|xsrf|jwt/i
/** Headers whose names match and whose values are no secrets. */
const HARMLESS = new Set([':authority', 'www-authenticate', 'proxy-authenticate'])
const SECRET_PARAMETER = /auth|token|secret|passw|^pwd$|key$|^sig$|signature|credential|session|jwt|^code$/i
/** A scheme of RFC 9110 11.4 with credentials, a JSON Web Token (RFC 7519 3), a private key, keys of well-known services. */
const SECRET_VALUE =
  /^(?:basic|bearer|digest|negotiate)\s|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}|-----BEGIN |\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|sk-[\w-]{20,}|xox[abprs]-)/i

/** Header fields with the values of those that look secret hidden; at most `most` fields of 1,024 characters. */
export function withoutSecrets(fields: readonly HeaderField[], most: number): [name: string, value: string][] {
  return fields.slice(0, most).map(([name, value]) => [name.slice(0, 256), hidden(name, value)])
}

function hidden(name: string, value: string): string {
  if (name === ':path') return pathWithoutSecrets(value)
  if (!HARMLESS.has(name.toLowerCase()) && (SECRET_NAME.test(name) || SECRET_VALUE.test(value))) return HIDDEN
  if (/^(referer|location|content-location|x-original-url|x-forwarded-uri)$/i.test(name))
    return pathWithoutSecrets(value)
  return value.slice(0, 1024)
}

/** A path with the values of query parameters that look secret hidden, 2,048 characters at most. */
export function pathWithoutSecrets(path: string): string {
  const at = path.indexOf('?')
  const short = path.slice(0, 2048)
  if (at < 0) return short.replace(SECRET_VALUE, HIDDEN)
  const parameters = short
    .slice(at + 1)
    .split('&')
    .map((parameter) => {
      const equals = parameter.indexOf('=')
      if (equals < 0) return parameter.replace(SECRET_VALUE, HIDDEN)
      const [name, value] = [parameter.slice(0, equals), parameter.slice(equals + 1)]
      return SECRET_PARAMETER.test(name) || SECRET_VALUE.test(value) ? `${name}=${HIDDEN}` : parameter
    })
  return at < short.length ? `${short.slice(0, at)}?${parameters.join('&')}` : short
}
