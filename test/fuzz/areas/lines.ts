import { LineSplitter } from '../../../src/control/lines.ts'
import type { Area } from '../area.ts'
import { readAll, sameHoweverCut } from '../streams.ts'

const PARTS = ['\n', '\n\n', '\r\n', '{"op":"status"}', '{"v":1,"op":', 'é', '\u2028', '\0', '"', '😀', ' ']

function read(pieces: readonly Buffer[]): string[] {
  const seen: string[] = []
  const splitter = new LineSplitter()
  return readAll(
    pieces,
    (piece) => seen.push(...splitter.push(piece)),
    (error) => error instanceof RangeError,
    seen,
  )
}

export default {
  about: 'lines of the control socket: the same however they are cut, also within a character',
  make: (random) =>
    Buffer.concat(
      Array.from({ length: 1 + random.int(20) }, () =>
        random.chance(80) ? Buffer.from(random.pick(PARTS)) : random.bytes(30),
      ),
    ),
  start: () => ({ attempt: (input, random) => sameHoweverCut(read, input, random) }),
} satisfies Area
