// Heads of HTTP/1 messages (RFC 9112): read strictly, since two readers that understand one message differently is how
// requests are smuggled past a router, and written with nothing changed but what is asked for.
/** Larger heads of requests are answered 431. */
export const MAX_REQUEST_HEAD = 64 * 1024
/** Answers of servers may have larger heads than requests. */
export const MAX_RESPONSE_HEAD = 256 * 1024

/** A header's value by its lower-case name; several of one name come joined by `, `. */
export type HeaderLookup = (name: string) => string | undefined

type RefusalStatus = 400 | 408 | 431 | 501 | 503

/** A message that violates RFC 9112, or does not arrive, and the status of the refusal. */
export class HttpError extends Error {
  readonly status: RefusalStatus
  constructor(status: RefusalStatus, message: string) {
    super(message)
    this.status = status
  }
}

/** How the end of a body is known: RFC 9112 6.3. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' }

export interface Field {
  /** Lower case. */
  name: string
  value: string
  line: string
}

interface Head {
  /** Without CRLF. */
  readonly startLine: string
  readonly fields: readonly Field[]
  readonly header: HeaderLookup
}

export interface RequestHead extends Head {
  readonly method: string
  readonly minor: 0 | 1
  readonly framing: Framing
  /** The client ends the connection after this request, or asks the server to. */
  readonly close: boolean
}

export interface ResponseHead extends Head {
  readonly status: number
  readonly framing: Framing
  readonly close: boolean
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/
// RFC 9110 5.5 forbids CR, LF and NUL. Other control characters are refused as well.
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** `text` is latin1, up to and with the empty line. Throws HttpError. */
export function parseRequestHead(text: string): RequestHead {
  const head = parse(text)
  const line = REQUEST_LINE.exec(head.startLine)
  if (!line) throw new HttpError(400, 'the request line is not one of HTTP/1.x')
  if (head.fields.filter((f) => f.name === 'host').length > 1) throw new HttpError(400, 'there is more than one Host')
  const minor = line[3] === '1' ? 1 : 0
  return { ...head, method: line[1], minor, framing: requestFraming(head, minor), close: closes(head, minor) }
}

function requestFraming(head: Head, minor: 0 | 1): Framing {
  const coding = head.header('transfer-encoding')
  const length = head.header('content-length')
  if (coding !== undefined) {
    if (length !== undefined) throw new HttpError(400, 'both Content-Length and Transfer-Encoding')
    if (minor === 0) throw new HttpError(400, 'Transfer-Encoding in HTTP/1.0')
    if (coding.toLowerCase() !== 'chunked') throw new HttpError(501, 'a Transfer-Encoding other than chunked')
    return { kind: 'chunked' }
  }
  if (length === undefined) return { kind: 'none' }
  const bytes = contentLength(length)
  if (bytes === undefined) throw new HttpError(400, 'a Content-Length that is not one number')
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes }
}

/** Throws HttpError when the server does not speak HTTP/1. */
export function parseResponseHead(text: string, method: string): ResponseHead {
  const head = parse(text)
  const line = STATUS_LINE.exec(head.startLine)
  if (!line) throw new HttpError(400, 'the answer has no status line of HTTP/1.x')
  const status = Number(line[2])
  const framing = responseFraming(head, status, method)
  const close = closes(head, line[1] === '1' ? 1 : 0) || framing.kind === 'close'
  return { ...head, status, framing, close }
}

function responseFraming(head: Head, status: number, method: string): Framing {
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return { kind: 'none' }
  const coding = head.header('transfer-encoding')
  const length = head.header('content-length')
  if (coding !== undefined) {
    if (length !== undefined) throw new HttpError(400, 'the answer has both Content-Length and Transfer-Encoding')
    return /(^|[\s,])chunked$/i.test(coding) ? { kind: 'chunked' } : { kind: 'close' }
  }
  if (length === undefined) return { kind: 'close' }
  const bytes = contentLength(length)
  if (bytes === undefined) throw new HttpError(400, 'the answer has a Content-Length that is not one number')
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes }
}

/** The head with `address` appended to X-Forwarded-For, and without an offer to go on in HTTP/2. */
export function forwardedHead(head: RequestHead, address: string): string {
  const forwarded = head.fields.findLast((f) => f.name === 'x-forwarded-for')
  // With `Upgrade: h2c` taken, all later requests of the connection would go where this one goes. Who offers it (Java's
  // HttpClient does by default) is as content with an answer in HTTP/1.1.
  const offer = head.fields.some((f) => f.name === 'upgrade' && protocols(f.value).some(isHttp2))
  const fields = offer ? head.fields.filter((f) => f.name !== 'http2-settings').flatMap(withoutHttp2) : head.fields
  const lines = fields.map((f) =>
    f === forwarded ? `${f.line.trimEnd()}${f.value === '' ? ' ' : ', '}${address}` : f.line,
  )
  if (!forwarded) lines.push(`X-Forwarded-For: ${address}`)
  return `${[head.startLine, ...lines].join('\r\n')}\r\n\r\n`
}

/** RFC 9110 7.8: a list of `name` or `name/version`. */
function protocols(upgrade: string): string[] {
  return upgrade.split(',').map((protocol) => protocol.trim())
}

function isHttp2(protocol: string): boolean {
  return /^h2c?(\/|$)/i.test(protocol)
}

/** The header without HTTP/2 among what it offers to go on with; none when it offers nothing else. */
function withoutHttp2(field: Field): Field[] {
  if (field.name !== 'upgrade') return [field]
  const others = protocols(field.value).filter((protocol) => protocol !== '' && !isHttp2(protocol))
  return others.length === 0 ? [] : [{ ...field, line: `Upgrade: ${others.join(', ')}` }]
}

/** The head of an answer after which the connection ends. */
export function closingHead({ startLine, fields }: ResponseHead): string {
  const lines = fields.filter(({ name }) => name !== 'connection' && name !== 'keep-alive').map(({ line }) => line)
  return `${[startLine, ...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`
}

function parse(text: string): Head {
  const [startLine, ...rest] = text.split('\r\n')
  // What is left of the empty line.
  rest.length -= 2
  const fields = rest.map(parseField)
  return {
    startLine,
    fields,
    header(name) {
      const found = fields.filter((f) => f.name === name)
      return found.length === 0 ? undefined : found.map((f) => f.value).join(', ')
    },
  }
}

function parseField(line: string): Field {
  if (line.startsWith(' ') || line.startsWith('\t')) throw new HttpError(400, 'a folded header')
  const colon = line.indexOf(':')
  const name = line.slice(0, Math.max(0, colon))
  if (!TOKEN.test(name)) throw new HttpError(400, 'a header whose name is not one')
  const value = line.slice(colon + 1)
  if (!FIELD_VALUE.test(value)) throw new HttpError(400, 'a header with a control character')
  return { name: name.toLowerCase(), value: value.replace(/^[ \t]+|[ \t]+$/g, ''), line }
}

function contentLength(value: string): number | undefined {
  if (!/^\d{1,16}$/.test(value)) return undefined
  const bytes = Number(value)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

function closes(head: Head, minor: 0 | 1): boolean {
  const options = (head.header('connection') ?? '').toLowerCase().split(/[\s,]+/)
  return options.includes('close') || (minor === 0 && !options.includes('keep-alive'))
}
