import assert from 'node:assert/strict'
import type { RequestReport } from '../../../src/control/views.ts'
import { CallerNames } from '../../../src/daemon/requests/caller-names.ts'
import { RequestLog } from '../../../src/daemon/requests/request-log.ts'
import { IpAddress } from '../../../src/wire/address.ts'
import type { Area } from '../area.ts'
import { makeScript, readScript } from '../http2-script.ts'
import type { Random } from '../random.ts'

const REQUESTS = [
  'GET / HTTP/1.1\r\n\r\n',
  'HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /y HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc',
  'POST /z HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nT: 1\r\n\r\n',
  'GET /s HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
  'CONNECT a:1 HTTP/1.1\r\n\r\n',
  '\r\n',
  'GET /\x1b[2J HTTP/1.1\r\nCookie: a=s3cret\r\n\r\n',
  'GET /c HTTP/1.1\r\nCookie: a=s3cret\r\n\r\n',
]
const ANSWERS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  'HTTP/1.1 204 None\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x01a',
  'HTTP/1.1 200 OK\r\n\r\nuntil the end',
]

function conversation(random: Random): Buffer {
  if (random.chance(50)) return makeScript(random)
  const some = (parts: string[]) =>
    Buffer.from(Array.from({ length: 1 + random.int(6) }, () => random.pick(parts)).join(''), 'latin1')
  const caller = some(REQUESTS)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(caller.length)
  return Buffer.concat([length, caller, some(ANSWERS)])
}

/** Is each `s3cret` still the value of a Cookie header? A change of bytes can break the name, by which kt knows what is secret. */
function isSecret(pieces: readonly Buffer[]): boolean {
  return !/(?<!\r\nCookie: a=)s3cret/.test(Buffer.concat(pieces).toString('latin1'))
}

/** What is told of a conversation: the caller's bytes, then the program's, in these pieces. */
async function tell(caller: readonly Buffer[], program: readonly Buffer[]): Promise<string[]> {
  const told: RequestReport[] = []
  const log = new RequestLog({
    clock: { now: () => 0, after: () => () => {} },
    wall: () => 0,
    names: new CallerNames({ ask: async () => null, now: () => 0 }),
    tell: (report) => void told.push(report),
    notice: () => {},
  })
  const watch = log.watch({ address: IpAddress.parse('10.0.0.1'), port: 1 }, { remote: 80, local: 80 })!
  await Promise.resolve() // for the name
  await Promise.resolve()
  for (const piece of caller) {
    const before = Buffer.from(piece)
    watch.fromCaller(piece)
    assert.deepEqual(piece, before, 'bytes were changed')
  }
  for (const piece of program) watch.fromProgram(piece)
  watch.programEnded()
  watch.closed()
  watch.closed()
  watch.fromCaller(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  await new Promise((resolve) => setImmediate(resolve))
  for (const { bytesIn, bytesOut } of told) assert.ok(bytesIn >= 0 && bytesOut >= 0)
  // How much had passed of what is broken off depends on where it was cut.
  const text = told.map((report) =>
    JSON.stringify(report.outcome === 'answered' ? report : { ...report, bytesIn: 0, bytesOut: 0 }),
  )
  if (isSecret([...caller, ...program])) assert.ok(!text.some((one) => one.includes('s3cret')), 'a secret was told')
  assert.ok(text.every((one) => one.length < 400_000))
  return text
}

export default {
  about:
    'the observer of requests: never throws, never changes bytes, tells no secret, tells the same however they are cut',
  make: conversation,
  start: () => ({
    async attempt(input, random) {
      const { caller, server } = readScript(input)
      const whole = await tell([caller], [server])
      assert.deepEqual(await tell(random.cut(caller), random.cut(server)), whole)
    },
  }),
} satisfies Area
