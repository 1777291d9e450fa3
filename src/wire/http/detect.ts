// What a connection speaks, told by its first bytes.

/** RFC 9113 3.4 */
export const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
/** Of a request line: longer ones pass to the original as bytes. */
const MAX_REQUEST_LINE = 16 * 1024
const MAX_METHOD = 32

export type Protocol = 'http1' | 'http2' | 'other'

/** `bytes` are all there are so far, latin1. Undefined while it may still be one or the other. */
export function detect(bytes: string): Protocol | undefined {
  if (HTTP2_PREFACE.startsWith(bytes.slice(0, HTTP2_PREFACE.length)))
    return bytes.length >= HTTP2_PREFACE.length ? 'http2' : undefined
  const end = bytes.indexOf('\r')
  if (end < 0) return bytes.length <= MAX_REQUEST_LINE && mayBegin(bytes) ? undefined : 'other'
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} [\x21-\x7e\x80-\xff]+ HTTP\/1\.[01]$/.test(bytes.slice(0, end)))
    return 'other'
  if (bytes.length === end + 1) return undefined
  return bytes[end + 1] === '\n' ? 'http1' : 'other'
}

/** True when more bytes can make a request line of it. */
function mayBegin(bytes: string): boolean {
  const [method, target, version, ...more] = bytes.split(' ')
  if (more.length > 0 || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]*$/.test(method) || method.length > MAX_METHOD) return false
  if (target === undefined) return true
  if (method === '' || !/^[\x21-\x7e\x80-\xff]*$/.test(target)) return false
  return version === undefined || (target !== '' && /^HTTP\/1\.[01]$/.test(version + 'HTTP/1.1'.slice(version.length)))
}
