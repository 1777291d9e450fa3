// HTTP/2 frames written by hand (RFC 9113, header blocks by RFC 7541 without compression), so that tests can say what node:http2
// would never let them say.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** RFC 9113 6 */
export const Frame = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const
export const END_STREAM = 1
export const ACK = 1
export const END_HEADERS = 4

export type Headers = readonly (readonly [name: string, value: string])[]

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.alloc(9 + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream >>> 0, 5)
  bytes.set(payload, 9)
  return bytes
}

/** RFC 7541 6.2.2: each field as a literal without indexing, its name new. */
export function block(headers: Headers): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]))
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  const length: number[] = []
  // RFC 7541 5.1, a prefix of seven bits.
  if (bytes.length < 127) length.push(bytes.length)
  else {
    let rest = bytes.length - 127
    length.push(127)
    for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128)
    length.push(rest)
  }
  return Buffer.concat([Buffer.from(length), bytes])
}

export function headersFrame(stream: number, headers: Headers, flags: number = END_HEADERS): Buffer {
  return frame(Frame.headers, flags, stream, block(headers))
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

export const settings = frame(Frame.settings, 0, 0)

/** A request's pseudo-headers. */
export function request(method: string, path = '/'): Headers {
  return [
    [':method', method],
    [':scheme', 'http'],
    [':authority', 'web.shop'],
    [':path', path],
  ]
}

/** Calls `on` for each frame that `socket` brings behind `skip` bytes. */
export function readFrames(
  socket: Socket,
  on: (type: number, flags: number, stream: number, payload: Buffer) => void,
  skip = 0,
): void {
  let held = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    const skipped = Math.min(skip, chunk.length)
    skip -= skipped
    held = Buffer.concat([held, chunk.subarray(skipped)])
    while (held.length >= 9) {
      const length = 9 + held.readUIntBE(0, 3)
      if (held.length < length) return
      on(held[3], held[4], held.readUInt32BE(5) & 0x7fffffff, held.subarray(9, length))
      held = held.subarray(length)
    }
  })
}

/** A connection that has sent its preface and nothing else. */
export async function rawClient(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(Buffer.concat([Buffer.from(PREFACE), settings]))
  return socket
}
