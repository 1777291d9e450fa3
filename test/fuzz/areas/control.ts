import { readAgentHello, readClientHello, readListen } from '../../../src/tunnel/agent-protocol/bodies.ts'
import { decodeAddress, encodeFrame, FrameReader } from '../../../src/tunnel/agent-protocol/frames.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'
import { readAll, sameHoweverCut } from '../streams.ts'

/** A JSON value that is nearly what a body wants. */
function value(random: Random, depth = 0): unknown {
  switch (random.int(depth > 3 ? 6 : 8)) {
    case 0:
      return random.edge()
    case 1:
      return random.pick([null, true, false, -1, 1.5, 1e300])
    case 2:
    case 3:
      return random.pick(['TCP', 'UDP', 'kt-version', 'host', ':path', '', 'a', '\u0000', '10.0.0.1', '__proto__', 'é'])
    case 4:
      return random.bytes(20).toString('latin1')
    case 5:
      return {
        port: random.int(70_000),
        protocol: random.pick(['TCP', 'UDP']),
        match: random.pick([null, {}, undefined]),
      }
    case 6:
      return Array.from({ length: random.int(4) }, () => value(random, depth + 1))
    default: {
      const names = [
        'port',
        'protocol',
        'match',
        'header',
        'value',
        'prefix',
        'client',
        'arrivals',
        'agent',
        'addresses',
        '__proto__',
      ]
      return Object.fromEntries(
        Array.from({ length: random.int(6) }, () => [random.pick(names), value(random, depth + 1)]),
      )
    }
  }
}

function frame(random: Random): Buffer {
  const body = random.chance(50) ? Buffer.from(JSON.stringify(value(random)) ?? '') : random.bytes(60)
  const bytes = encodeFrame(random.int(30), random.edge(), body)
  if (random.chance(5)) bytes.writeUInt32BE(random.edge(), 0)
  return bytes
}

function read(pieces: readonly Buffer[]): string[] {
  const seen: string[] = []
  const reader = new FrameReader((type, id, body) => {
    const bodies = [readListen(body), readClientHello(body), readAgentHello(body)].map((one) =>
      'wrong' in one ? one.wrong : JSON.stringify(one.body),
    )
    seen.push(`${type} ${id} ${body.toString('hex')} ${decodeAddress(body, 0)?.address} ${bodies}`)
  })
  return readAll(
    pieces,
    (piece) => reader.push(piece),
    (error) => error instanceof RangeError,
    seen,
  )
}

export default {
  about: 'frames of the frame channel and their bodies: refused in words, and read the same however they are cut',
  make: (random) => Buffer.concat(Array.from({ length: 1 + random.int(6) }, () => frame(random))),
  start: () => ({ attempt: (input, random) => sameHoweverCut(read, input, random) }),
} satisfies Area
