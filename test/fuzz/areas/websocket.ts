import { FrameDecoder } from '../../../src/tunnel/transport/websocket/frame.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'
import { readAll, sameHoweverCut } from '../streams.ts'

function frame(random: Random): Buffer {
  const payload = random.bytes(random.chance(90) ? 200 : 70_000)
  const head = [
    random.pick([0, 1, 2, 8, 9, 10, 3, 11]) | (random.chance(80) ? 0x80 : 0) | (random.chance(5) ? 0x40 : 0),
  ]
  const masked = random.chance(3) ? 0x80 : 0
  const length = random.chance(95) ? payload.length : random.edge()
  if (length < 126) head.push(length | masked)
  else if (length <= 0xffff && random.chance(90)) head.push(126 | masked, length >>> 8, length & 255)
  else
    head.push(
      127 | masked,
      random.chance(5) ? 0xff : 0,
      0,
      0,
      0,
      length >>> 24,
      (length >>> 16) & 255,
      (length >>> 8) & 255,
      length & 255,
    )
  return Buffer.concat([Buffer.from(head), payload])
}

function read(pieces: readonly Buffer[]): string[] {
  const seen: string[] = []
  let message = ''
  const flush = () => {
    if (message !== '') seen.push(message)
    message = ''
  }
  const decoder = new FrameDecoder({
    onPiece(piece, first) {
      if (first) flush()
      message += piece.toString('hex')
    },
    onPing: (payload) => seen.push(`ping ${payload.toString('hex')}`),
    onClose: (code, reason) => seen.push(`close ${code} ${reason}`),
  })
  readAll(
    pieces,
    (piece) => decoder.push(piece),
    (error) => error.message.startsWith('WebSocket:'),
    seen,
  )
  flush()
  return seen
}

export default {
  about: 'frames of a WebSocket server: refused in words, and read the same however they are cut',
  make: (random) => Buffer.concat(Array.from({ length: 1 + random.int(6) }, () => frame(random))),
  start: () => ({ attempt: (input, random) => sameHoweverCut(read, input, random) }),
} satisfies Area
