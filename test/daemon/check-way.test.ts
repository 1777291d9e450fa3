import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, checkWay, Verdict } from '../../src/daemon/inbound/check-way.ts'
import type { StreamHandler, Tunnel, TunnelStream } from '../../src/tunnel/tunnel.ts'
import { IpAddress } from '../../src/wire/address.ts'

/** What the verdict is after each answer; each takes 100 ms. */
function verdicts(answers: Answer[], ms = 100): string[] {
  const verdict = new Verdict(0)
  return answers.map((answer, index) => verdict.hear(answer, (index + 1) * ms))
}

test('three answers in a row from a shadow are needed, and one from elsewhere begins the row anew', () => {
  assert.deepEqual(verdicts(['here', 'here', 'here']), ['ask-again', 'ask-again', 'here'])
  assert.equal(verdicts(['here', 'here', 'elsewhere', 'here', 'here']).at(-1), 'ask-again')
  assert.equal(verdicts(['here', 'here', 'failed', 'here', 'here']).at(-1), 'ask-again')
})

test('where nothing ever answers, it cannot be known; where somebody else answers for long, it is not true yet', () => {
  assert.equal(verdicts(['failed', 'failed', 'failed', 'failed']).at(-1), 'unknown')
  assert.equal(verdicts(['elsewhere', 'failed', 'failed', 'failed', 'failed']).at(-1), 'ask-again')
  assert.equal(verdicts(['elsewhere', 'elsewhere'], 4_100).at(-1), 'not-yet')
})

const service = { address: IpAddress.parse('10.96.0.9'), port: 80 }
const effects = { now: () => 0, delay: async () => {}, aborted: () => false }

/** A tunnel whose service answers an empty connection with what `answer` makes of the agreed bytes. */
function tunnelTo(answer: (marker: Uint8Array) => Uint8Array | undefined) {
  let marker: Uint8Array = new Uint8Array()
  const seen = { asked: 0, sent: 0 }
  const tunnel = {
    answerEmpty: (bytes: Uint8Array) => {
      marker = bytes
      return true
    },
    openStream(_: unknown, __: unknown, handler: StreamHandler): TunnelStream {
      seen.asked++
      queueMicrotask(() => handler.onOpen())
      return {
        write: (_buffer, start, end) => {
          seen.sent += end - start
          return end - start
        },
        end: () => {
          const said = answer(marker)
          if (said) handler.onData(said)
          handler.onEnd()
        },
        reset() {},
        consumed() {},
      }
    },
  } as unknown as Tunnel
  return { tunnel, seen }
}

test('a Service that still leads elsewhere on one of two nodes is asked on until it does not, and is sent no byte', async () => {
  let left = 5
  const far = tunnelTo((marker) => (left-- > 0 ? Buffer.from('220 mail.shop ready\n') : marker))
  const near = tunnelTo((marker) => marker)
  assert.equal(await checkWay([near.tunnel, far.tunnel], service, effects), 'here')
  assert.deepEqual(
    [near.seen, far.seen],
    [
      { asked: 3, sent: 0 },
      { asked: 8, sent: 0 },
    ],
  )
})

test('an agent that cannot answer so is not asked', async () => {
  const { tunnel, seen } = tunnelTo((marker) => marker)
  assert.equal(await checkWay([{ ...tunnel, answerEmpty: () => false } as Tunnel], service, effects), 'unknown')
  assert.equal(seen.asked, 0)
})
