import assert from 'node:assert/strict'
import { truncate, withCname, withoutOpt } from '../../../src/dns/build.ts'
import {
  HEADER_LEN,
  MAX_NAME,
  nameText,
  nameWire,
  newQueryView,
  readQuery,
  scanAnswer,
  skipName,
} from '../../../src/dns/message.ts'
import { frame, TcpFramer } from '../../../src/dns/tcp.ts'
import type { Area } from '../area.ts'
import { message } from '../dns-messages.ts'
import type { Random } from '../random.ts'
import { sameHoweverCut } from '../streams.ts'

const SHORT = Buffer.from([3, 119, 101, 98, 0, 0, 1, 0, 1])

function query(bytes: Uint8Array): void {
  // In the middle of a buffer, as it comes from the stack: nothing around it may be read or believed.
  const around = new Uint8Array(bytes.length + 64).fill(1)
  around.set(bytes, 32)
  const [here, there] = [newQueryView(), newQueryView()]
  const outcome = readQuery(bytes, 0, bytes.length, here)
  assert.equal(readQuery(around, 32, 32 + bytes.length, there), outcome)
  if (outcome !== 'ok' || here.opcode !== 0) return
  assert.deepEqual({ ...there, nameStart: there.nameStart - 32, questionEnd: there.questionEnd - 32 }, here)
  assert.ok(here.questionEnd <= bytes.length && here.questionEnd - HEADER_LEN <= MAX_NAME + 4)
  const name = bytes.slice(here.nameStart, here.questionEnd - 4)
  const lower = name.map((octet) => (octet >= 65 && octet <= 90 ? octet + 32 : octet))
  assert.deepEqual(nameWire(nameText(name)), lower)
}

function answer(bytes: Uint8Array): void {
  const scan = scanAnswer(bytes)
  if (!scan) return
  assert.ok(scan.end <= bytes.length && scan.questionEnd <= scan.end)
  for (const at of scan.ttlOffsets) assert.ok(at >= scan.questionEnd && at + 4 <= scan.end)
  const bare = withoutOpt(bytes.slice(), scan)
  const rest = scanAnswer(bare)
  assert.ok(rest && rest.opt === undefined && rest.end === bare.length)
  if (skipName(bytes, HEADER_LEN, bytes.length) + 4 !== scan.questionEnd) assert.fail('the question ends elsewhere')
  const renamed = withCname(bare, scan.questionEnd - HEADER_LEN, SHORT, 30)
  if (renamed) {
    const after = scanAnswer(renamed)
    assert.ok(after && after.answers === rest.answers + 1 && after.end === renamed.length)
  }
  for (const room of [512, 1232]) {
    const cut = bare.slice()
    const length = truncate(cut, cut.length, room)
    assert.ok(length <= Math.max(room, scan.questionEnd))
    assert.equal(scanAnswer(cut.subarray(0, length))?.end, length)
  }
}

function stream(bytes: Buffer, random: Random): void {
  const framed = Buffer.concat([frame(bytes), bytes])
  sameHoweverCut(
    (pieces) => {
      const seen: string[] = []
      const framer = new TcpFramer()
      for (const piece of pieces)
        framer.push(piece, 0, piece.length, (b, start, end) =>
          seen.push(Buffer.from(b.subarray(start, end)).toString('hex')),
        )
      return seen
    },
    framed,
    random,
  )
}

export default {
  about: 'DNS messages: no length or pointer leads out of one, and what is made of an answer is an answer',
  make: (random) => message(random, random.chance(60)),
  start: () => ({
    attempt(input, random) {
      query(new Uint8Array(input))
      answer(new Uint8Array(input))
      if (random.chance(10)) stream(input.subarray(0, 0xffff), random)
    },
  }),
} satisfies Area
