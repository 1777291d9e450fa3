// Which headers can tell one version's requests from those of everybody else. The same rule for the command line and for the agent,
// which must not take a client's word for it.

/** RFC 9110 5.1 */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/
/** RFC 9110 5.5, without tabs and what is no ASCII. */
const VALUE = /^[\x20-\x7e]{1,1000}$/

/** These belong to a connection, to the message's form or to where it is sent: every request has them, whoever sends it. */
const OF_ALL =
  /^(host|connection|keep-alive|proxy-connection|te|trailer|transfer-encoding|content-length|upgrade|http2-settings|expect|via|forwarded|x-forwarded-.*|x-real-ip)$/
/** These are in nearly every request, with values that begin alike. */
const ALIKE = /^(accept|accept-.*|user-agent|content-type|sec-.*|origin|referer|traceparent|x-request-id)$/

/** What is wrong with a version by this header; undefined if it can be one. */
export function unfitHeader(header: string, value: string, prefix: boolean): string | undefined {
  const name = header.toLowerCase()
  if (!NAME.test(header)) return `${JSON.stringify(header.slice(0, 64))} cannot be a header`
  if (prefix && value === '') return `a version needs something before the *`
  if (!VALUE.test(value)) return `${JSON.stringify(value.slice(0, 64))} cannot be a header's value`
  if (OF_ALL.test(name)) return `requests of all versions have the header ${name}`
  if (prefix && ALIKE.test(name)) return `too many requests have a header ${name} that begins so`
  return undefined
}
