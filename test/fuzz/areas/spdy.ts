import { SpdyDecoder } from '../../../src/tunnel/transport/spdy/frame.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'
import { readAll, sameHoweverCut } from '../streams.ts'

function frame(random: Random): Buffer {
  const payload = random.bytes(random.chance(90) ? 100 : 70_000)
  const head = Buffer.alloc(8)
  if (random.chance(50)) {
    head.writeUInt16BE(0x8003, 0)
    head.writeUInt16BE(random.pick([1, 2, 3, 4, 6, 7, 8, 9, 0, random.int(65_536)]), 2)
  } else head.writeUInt32BE(random.chance(80) ? random.pick([1, 3]) : random.edge() & 0x7fffffff, 0)
  head[4] = random.chance(70) ? 0 : random.int(256)
  head.writeUIntBE(random.chance(95) ? payload.length : random.edge() & 0xffffff, 5, 3)
  return Buffer.concat([head, payload])
}

function read(pieces: readonly Buffer[]): string[] {
  const seen: string[] = []
  let data = ''
  const say = (words: string) => {
    if (data !== '') seen.push(data)
    data = ''
    seen.push(words)
  }
  const decoder = new SpdyDecoder({
    onData(stream, piece) {
      if (!data.startsWith(`${stream}:`)) {
        if (data !== '') seen.push(data)
        data = `${stream}:`
      }
      data += piece.toString('hex')
    },
    onFin: (stream) => say(`fin ${stream}`),
    onPing: (frame) => say(`ping ${frame.toString('hex')}`),
    onReset: (stream) => say(`reset ${stream}`),
    onGoAway: () => say('goaway'),
  })
  const end = readAll(
    pieces,
    (piece) => decoder.push(piece),
    (error) => error instanceof RangeError,
    [],
  )
  say(`end ${end}`)
  return seen
}

export default {
  about: 'frames of a SPDY server: refused in words, and read the same however they are cut',
  make: (random) => Buffer.concat(Array.from({ length: 1 + random.int(6) }, () => frame(random))),
  start: () => ({ attempt: (input, random) => sameHoweverCut(read, input, random) }),
} satisfies Area
