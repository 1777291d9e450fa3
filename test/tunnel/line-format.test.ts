// The bytes of a line are those that docs/understand/line.md describes: older clients and agents rely on them.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  GREETING,
  greeted,
  LineDecoder,
  LineFrame,
  lineFrame,
  MAX_BODY,
  MAX_PAYLOAD,
  offsetBytes,
  PATH_HEADROOM,
  Refusal,
  sealLineData,
} from '../../src/tunnel/line/frames.ts'
import { readResume, readResumed, resumeBody, resumedBody } from '../../src/tunnel/line/proof.ts'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const document = read('docs/understand/line.md')

/** `got` as it is said in hexadecimal, the spaces aside. */
const isHex = (got: Buffer, expected: string) => assert.equal(got.toString('hex'), expected.replaceAll(' ', ''))
const withoutRoom = (frame: Buffer) => frame.subarray(PATH_HEADROOM)

const camel = (name: string) => name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

test('the types and the reasons of a refusal have the numbers of the document', () => {
  const rows = [...document.matchAll(/^\| (\d+) \| ([A-Z_]+) \|/gm)].map(([, type, name]) => [camel(name), +type])
  assert.deepEqual(Object.fromEntries(rows), LineFrame)
  const [reasons] = /^\| reason \|(.*\n)*?\n/m.exec(document)!
  const numbers = [...reasons.matchAll(/^\| (\d+) \|/gm)].map(([, number]) => +number)
  assert.deepEqual(numbers, Object.values(Refusal))
})

test('a frame is its type, the length of its body and the body; an offset has six bytes', () => {
  isHex(withoutRoom(lineFrame(LineFrame.open, Buffer.alloc(16, 0xab))), `01 000010 ${'ab'.repeat(16)}`)
  isHex(withoutRoom(lineFrame(LineFrame.ack, offsetBytes(0x0102_0304_0506))), '07 000006 010203040506')
  isHex(
    withoutRoom(lineFrame(LineFrame.pathAck, offsetBytes(5), offsetBytes(6))),
    '0d 00000c 000000000005 000000000006',
  )
  isHex(withoutRoom(greeted(lineFrame(LineFrame.opened))), `${Buffer.from('KTLINE1\n').toString('hex')} 02 000000`)
  assert.equal(GREETING.length, 8)
})

test('DATA says where its payload begins and what was received, and may be longer than other frames', () => {
  const slab = Buffer.alloc(40, 0xee)
  const begin = sealLineData(slab, 20, 23, 0x0102_0304_0506, 7)
  isHex(slab.subarray(begin, 23), '06 00000f 010203040506 000000000007 eeeeee')
  const seen: unknown[] = []
  const decode = (bytes: string) =>
    new LineDecoder({
      onData: (offset, piece) => seen.push(['data', offset, piece.toString('hex')]),
      onReceived: (received) => seen.push(['received', received]),
      onFrame: (type, body) => seen.push([type, body.toString('hex')]),
    }).push(Buffer.from(bytes.replaceAll(' ', ''), 'hex'))
  decode('06 00000f 010203040506 000000000007 eeeeee 08 000004 00000001')
  assert.deepEqual(seen, [
    ['received', 7],
    ['data', 0x0102_0304_0506, 'eeeeee'],
    [LineFrame.probe, '00000001'],
  ])
  const length = (bytes: number) => bytes.toString(16).padStart(6, '0')
  const twoOffsets = '00'.repeat(12)
  decode(`06 ${length(MAX_PAYLOAD + 12)} ${twoOffsets}`)
  assert.throws(() => decode(`06 ${length(MAX_PAYLOAD + 13)} ${twoOffsets}`), RangeError)
  assert.throws(() => decode(`06 ${length(11)} ${twoOffsets}`), RangeError)
  decode(`05 ${length(MAX_BODY)}`)
  assert.throws(() => decode(`05 ${length(MAX_BODY + 1)}`), RangeError)
})

test('a proof is the HMAC of its purpose, the id, the counter and what was received', () => {
  const key = Buffer.alloc(32, 7)
  const attempt = { id: Buffer.alloc(16, 1), counter: 3, received: 500 }
  const expected = (text: string) =>
    createHmac('sha256', key)
      .update(
        Buffer.concat([Buffer.from(`kt line 1 ${text}\n`), attempt.id, Buffer.from('0000000000030000000001f4', 'hex')]),
      )
      .digest()
  for (const [purpose, client, agent] of [
    ['resume', 'client', 'agent'],
    ['join', 'client joins', 'agent joins'],
  ] as const) {
    const body = resumeBody(key, attempt, purpose)
    isHex(body, `${'01'.repeat(16)} 000000000003 0000000001f4 ${expected(client).toString('hex')}`)
    assert.deepEqual(readResume(body)!.attempt, attempt)
    const answer = resumedBody(key, attempt, purpose)
    isHex(answer, `0000000001f4 ${expected(agent).toString('hex')}`)
    assert.equal(readResumed(answer, key, attempt, purpose), 500)
    for (const length of [0, 5, 6, 37])
      assert.equal(readResumed(answer.subarray(0, length), key, attempt, purpose), undefined)
    assert.equal(readResumed(Buffer.concat([answer, answer]), key, attempt, purpose), undefined)
    for (const length of [0, 59]) assert.equal(readResume(body.subarray(0, length)), undefined)
  }
})

test('the agent waits for an absent client as long as the document and the help say', () => {
  const [, seconds] = /'KT_AGENT_LINE_S', (\d+)/.exec(read('src/shadow/agent.ts'))!
  assert.match(read('src/cli/commands/shadow-options.ts'), new RegExp(`--line-wait.*\\n.*default: ${seconds}`))
  assert.match(document, new RegExp(`absent for ${+seconds / 60} minutes`))
})
