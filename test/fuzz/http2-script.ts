// What two hostile sides of an HTTP/2 router say: frames that are nearly right, from a caller and from a server.
import {
  ACK,
  block,
  END_HEADERS,
  END_STREAM,
  Frame,
  frame,
  type Headers,
  PREFACE,
  request,
  settings,
  uint32,
} from '../support/http2-frames.ts'
import type { Random } from './random.ts'

const STREAMS = [1, 1, 1, 3, 3, 5, 7, 0, 2, 4, 0x7fffffff]
const NAMES = [
  'x',
  'te',
  'connection',
  'http2-settings',
  'keep-alive',
  'content-length',
  'content-type',
  'host',
  'cookie',
  'Upper',
  '',
  ':path',
  ':status',
  ':protocol',
  'expect',
  'kt-version',
  'grpc-status',
  'trailer',
  'transfer-encoding',
]
const VALUES = [
  '',
  'x',
  'trailers',
  '0',
  '5',
  '-1',
  'application/grpc',
  'abc',
  '\r\n',
  '\0',
  'é',
  'a'.repeat(5000),
  '100-continue',
]
const STATUSES = ['200', '200', '204', '304', '100', '103', '101', '199', '600', '099', '0', '99999', 'x', '', '-1']

function extra(random: Random): Headers {
  return Array.from({ length: random.int(4) }, () => [random.pick(NAMES), random.pick(VALUES)] as const)
}

function setting(random: Random): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUInt16BE(random.chance(90) ? 1 + random.int(8) : random.int(65_536), 0)
  bytes.writeUInt32BE(random.edge(), 2)
  return bytes
}

/** Frames that either side may send. */
function any(random: Random): Buffer {
  const stream = random.pick(STREAMS)
  switch (random.int(12)) {
    case 0:
    case 1:
      return frame(
        Frame.data,
        random.pick([0, 0, END_STREAM, 8]),
        stream,
        random.bytes(random.chance(90) ? 100 : 20_000),
      )
    case 2:
      return frame(Frame.reset, 0, stream, uint32(random.pick([0, 0, 1, 8, 11, 0xffffffff])))
    case 3:
      return frame(Frame.window, 0, stream, uint32(random.edge()))
    case 4:
      return frame(Frame.window, 0, 0, uint32(random.edge()))
    case 5:
      return frame(
        Frame.settings,
        random.pick([0, 0, 0, ACK]),
        random.pick([0, 0, 0, 1]),
        random.chance(80) ? setting(random) : random.bytes(12),
      )
    case 6:
      return frame(Frame.ping, random.pick([0, 0, ACK]), 0, random.chance(90) ? Buffer.alloc(8) : random.bytes(12))
    case 7:
      return frame(
        Frame.goaway,
        0,
        0,
        Buffer.concat([uint32(random.pick([0, 1, 3, 0x7fffffff])), uint32(random.pick([0, 1, 11])), random.bytes(8)]),
      )
    case 8:
      return frame(Frame.continuation, random.pick([0, END_HEADERS]), stream, block(extra(random)))
    case 9:
      return frame(
        Frame.push,
        END_HEADERS,
        stream,
        Buffer.concat([uint32(random.pick(STREAMS)), block(request('GET'))]),
      )
    case 10:
      // Trailers.
      return frame(Frame.headers, END_HEADERS | random.pick([END_STREAM, END_STREAM, 0]), stream, block(extra(random)))
    default:
      return frame(random.int(256), random.int(256), stream, random.bytes(40))
  }
}

function asking(random: Random): Buffer {
  const pseudo = request(
    random.pick(['GET', 'POST', 'POST', 'HEAD', 'CONNECT', 'OPTIONS', '', 'x y']),
    random.pick(['/', '/', '*', '', 'x']),
  )
  const headers = random.chance(85) ? pseudo : pseudo.filter(() => random.chance(70))
  const flags = random.pick([END_HEADERS, END_HEADERS, END_HEADERS | END_STREAM, 0, 0x24])
  return frame(Frame.headers, flags, random.pick(STREAMS), block([...headers, ...extra(random)]))
}

function answering(random: Random): Buffer {
  const flags = random.pick([END_HEADERS, END_HEADERS, END_HEADERS | END_STREAM, 0])
  return frame(
    Frame.headers,
    flags,
    random.pick(STREAMS),
    block([[':status', random.pick(STATUSES)], ...extra(random)]),
  )
}

function many(random: Random, of: () => Buffer): Buffer[] {
  return Array.from({ length: 1 + random.int(10) }, () => (random.chance(40) ? of() : any(random)))
}

/** Two scripts as one input: the caller's length in front. */
export function makeScript(random: Random): Buffer {
  const caller = Buffer.concat([Buffer.from(PREFACE), settings, asking(random), ...many(random, () => asking(random))])
  const server = Buffer.concat([settings, frame(Frame.settings, ACK, 0), ...many(random, () => answering(random))])
  return Buffer.concat([uint32(caller.length), caller, server])
}

export function readScript(input: Buffer): { caller: Buffer; server: Buffer } {
  const length = input.length < 4 ? 0 : Math.min(input.readUInt32BE(0), input.length - 4)
  return { caller: input.subarray(4, 4 + length), server: input.subarray(4 + length) }
}
