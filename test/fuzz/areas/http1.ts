import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { bodyEnd } from '../../../src/wire/http/framing.ts'
import { HttpError, parseRequestHead } from '../../../src/wire/http/head.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'

/** One request as a reader understood it. */
interface Understood {
  method: string
  url: string
}

/** llhttp as Node has it. */
interface Parser {
  initialize(type: number, resource: object): void
  execute(bytes: Buffer): number | Error
  close(): void
  [event: number]: unknown
}
type ParserClass = {
  new (): Parser
  REQUEST: number
  kOnHeadersComplete: number
  kOnMessageComplete: number
}

const METHODS = ['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH', 'PROPFIND']
const HEADERS = [
  'Host: a',
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'content-length:5 ',
  'Content-Length: 05',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\tchunked',
  'Connection: keep-alive',
  'Connection: close',
  'X: y',
  'X:',
  ': y',
  'X : y',
  ' folded',
  'X: \u00e9',
  'X: a\0b',
  'Expect: 100-continue',
  'A: b\rC: d',
  'A: b\nC: d',
]
const BODIES = [
  '10\r\n0123456789abcdef\r\n0\r\n\r\n',
  '',
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n',
  '5\nhello\n0\n\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  'a \r\n0123456789\r\n0\r\n\r\n',
  '00000005\r\nhello\r\n0\r\n\r\n',
  'fffffffffffffffff\r\n',
  '-1\r\n',
  '5\r\nhelloX0\r\n\r\n',
]

function request(random: Random): string {
  const line = `${random.pick(METHODS)} ${random.pick(['/', '/a?b', '*', 'http://h/x'])} HTTP/1.${random.chance(90) ? 1 : 0}`
  const headers = Array.from({ length: random.int(4) }, () => random.pick(HEADERS))
  return `${random.chance(10) ? '\r\n' : ''}${[line, ...headers].join(random.chance(97) ? '\r\n' : '\n')}\r\n\r\n${random.pick(BODIES)}`
}

/**
 * What the router makes of it: whole requests up to the first that it refuses, or behind which it reads no further. `waits`: it
 * would read on if more came.
 */
function ours(input: Buffer): { understood: Understood[]; waits: boolean } {
  const understood: Understood[] = []
  let text = input.toString('latin1')
  for (;;) {
    text = text.replace(/^(?:\r\n)+/, '')
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return { understood, waits: false }
    try {
      const head = parseRequestHead(text.slice(0, end + 4))
      // What follows these is not HTTP/1 any more.
      if (head.method === 'CONNECT' || head.header('upgrade') !== undefined) return { understood, waits: false }
      const body = bodyEnd(head.framing)
      const rest = Buffer.from(text.slice(end + 4), 'latin1')
      const taken = body.done ? 0 : body.take(rest)
      if (!body.done) return { understood, waits: true }
      understood.push({ method: head.method, url: head.startLine.split(' ')[1] })
      if (head.close) return { understood, waits: false }
      text = rest.subarray(taken).toString('latin1')
    } catch (error) {
      if (!(error instanceof HttpError)) throw error
      return { understood, waits: false }
    }
  }
}

function theirs(Parser: ParserClass, input: Buffer): Understood[] {
  const parser = new Parser()
  const understood: Understood[] = []
  let current: Understood = { method: '', url: '' }
  parser.initialize(Parser.REQUEST, {})
  parser[Parser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    _headers: string[],
    method: number,
    url: string,
  ) => {
    current = { method: String(method), url }
    return 0
  }
  parser[Parser.kOnMessageComplete] = () => {
    understood.push(current)
  }
  parser.execute(Buffer.from(input))
  parser.close()
  return understood
}

export default {
  about: 'requests of HTTP/1 against llhttp: what both understand, they understand alike',
  make: (random) => Buffer.from(Array.from({ length: 1 + random.int(3) }, () => request(random)).join(''), 'latin1'),
  start() {
    process.removeAllListeners('warning')
    const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
      HTTPParser: ParserClass
      methods: string[]
    }
    return {
      attempt(input) {
        const { understood: mine, waits } = ours(input)
        const other = theirs(HTTPParser, input)
        // Where llhttp stops, the server behind the router answers 400: no two readers then understand it differently.
        for (const [i, one] of mine.slice(0, other.length).entries()) {
          const { method, url } = other[i]
          assert.deepEqual([one.method, one.url], [methods[Number(method)], url], `request ${i}`)
        }
        if (waits) assert.ok(other.length <= mine.length, 'the router waits for more where llhttp has a whole request')
        assert.ok(
          other.length >= mine.length || stops(HTTPParser, input),
          'llhttp waits for more where a request is whole',
        )
      },
    }
  },
} satisfies Area

/** llhttp refuses the input, or has read on as another protocol. */
function stops(Parser: ParserClass, input: Buffer): boolean {
  const parser = new Parser()
  parser.initialize(Parser.REQUEST, {})
  const result = parser.execute(Buffer.from(input))
  parser.close()
  return typeof result !== 'number' || result < input.length
}
