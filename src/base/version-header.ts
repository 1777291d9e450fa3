// Which headers can tell the requests of one version from all others. The command line and the agent apply the same rule,
// because the agent must not rely on what a client says.

/** RFC 9110 5.1 */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/
/** RFC 9110 5.5, without tabs, ASCII only. */
const VALUE = /^[\x20-\x7e]{1,1000}$/

/** Every request has these, whoever sends it: they are about the connection, the form of the message, or its target. */
const OF_ALL =
  /^(host|connection|keep-alive|proxy-connection|te|trailer|transfer-encoding|content-length|upgrade|http2-settings|expect|via|forwarded|x-forwarded-.*|x-real-ip)$/
/** Nearly every request has these, with values that begin alike. So they cannot be matched by a prefix. */
const ALIKE = /^(accept|accept-.*|user-agent|content-type|sec-.*|origin|referer|traceparent|x-request-id)$/

/** Says what is wrong with this header as a version; undefined if nothing is. */
export function unfitHeader(header: string, value: string, prefix: boolean): string | undefined {
  const name = header.toLowerCase()
  if (!NAME.test(header)) return `${JSON.stringify(header.slice(0, 64))} cannot be a header`
  if (prefix && value === '') return `a version needs something before the *`
  if (!VALUE.test(value)) return `${JSON.stringify(value.slice(0, 64))} cannot be a header's value`
  if (OF_ALL.test(name)) return `requests of all versions have the header ${name}`
  if (prefix && ALIKE.test(name)) return `too many requests have a header ${name} that begins so`
  return undefined
}
