// The frame channel's gathering: how many messages frames leave in (each costs every process on the way), and that none is
// lost, doubled or overtaken by it. No times: messages are counted.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { systemClock } from '../../src/base/clock.ts'
import { FrameChannel } from '../../src/tunnel/agent-protocol/frame-channel.ts'
import { FrameReader, FrameType, frameSize } from '../../src/tunnel/agent-protocol/frames.ts'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import type { Channel } from '../../src/tunnel/ssh/channel.ts'
import type { ChannelMux } from '../../src/tunnel/ssh/mux.ts'
import { MAX_DATA } from '../../src/tunnel/ssh/packet-shape.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { until } from '../support/until.ts'
import { startAgent } from './shadows.ts'

/** A channel that keeps what is written, and the frames in it. */
function line(credit = Number.POSITIVE_INFINITY) {
  const messages: number[] = []
  const frames: string[] = []
  const reader = new FrameReader((type, id, body) => frames.push(`${type} ${id} ${body.length}`))
  const channel = {
    open: true,
    credit,
    use: 'kept',
    writeUrgent(buffer: Uint8Array) {
      if (buffer.length > channel.credit) return false
      channel.credit -= buffer.length
      messages.push(buffer.length)
      reader.push(Buffer.from(buffer))
      return true
    },
  }
  const mux = { clock: systemClock, congested: false, flight: { hurry() {} } }
  const subject = new FrameChannel(mux as unknown as ChannelMux, { onFrame() {}, onGone: assert.fail })
  subject.attach(channel as unknown as Channel)
  return { subject, channel, mux, messages, frames }
}

describe('frame channel', () => {
  it('sends the datagrams of a turn as one message', async () => {
    const { subject, messages, frames } = line()
    for (let id = 1; id <= 200; id++) assert.equal(subject.sendNow(FrameType.udpData, id, new Uint8Array(60)), true)
    await turn()
    assert.deepEqual([messages.length, frames.length], [1, 200])
    subject.sendNow(FrameType.udpData, 201, new Uint8Array(60))
    await turn()
    assert.equal(messages.length, 2)
  })

  it('batches datagrams that may wait with the next one that may not', async () => {
    const { subject, messages, frames } = line()
    for (let id = 1; id <= 9; id++) subject.sendWithin(60_000, FrameType.udpData, id, new Uint8Array(60))
    await turn()
    assert.equal(messages.length, 0)
    subject.sendNow(FrameType.udpData, 10, new Uint8Array(60))
    await turn()
    assert.deepEqual([messages.length, frames.length], [1, 10])
  })

  it('lets them leave by themselves when nothing comes', async () => {
    const { subject, messages } = line()
    subject.sendWithin(1, FrameType.udpData, 1)
    subject.sendWithin(60_000, FrameType.udpData, 2)
    await until('the message', () => messages.length === 1)
  })

  it('keeps the order, loses nothing it has taken, and no message is longer than a packet may be', async () => {
    const step = fc.record({
      how: fc.constantFrom('send', 'now', 'within', 'turn'),
      size: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 65_507 })),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 0, max: 400_000 }),
        async (steps, credit) => {
          const { subject, channel, messages, frames } = line(credit)
          const expected: string[] = []
          let small = MAX_DATA
          let id = 0
          for (const { how, size } of steps) {
            const body = new Uint8Array(size)
            if (how === 'turn') await turn()
            else if (how === 'send') {
              subject.send(FrameType.probe, ++id, body)
              expected.push(`${FrameType.probe} ${id} ${size}`)
            } else {
              const taken =
                how === 'now'
                  ? subject.sendNow(FrameType.udpData, ++id, body)
                  : subject.sendWithin(60_000, FrameType.udpData, ++id, body)
              if (taken) expected.push(`${FrameType.udpData} ${id} ${size}`)
            }
            if (how !== 'turn') small = Math.max(small, frameSize([body]))
          }
          channel.credit = Number.POSITIVE_INFINITY
          subject.onDrain()
          subject.send(FrameType.probe, ++id)
          await turn()
          assert.deepEqual(frames, [...expected, `${FrameType.probe} ${id} 0`])
          for (const size of messages) assert.ok(size <= small, `a message of ${size} bytes`)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('takes no datagram that has no room, and what it took keeps its room', async () => {
    const { subject, mux, frames } = line(3 * frameSize([new Uint8Array(60)]))
    const sent = [1, 2, 3, 4].map((id) => subject.sendNow(FrameType.udpData, id, new Uint8Array(60)))
    assert.deepEqual(sent, [true, true, true, false])
    await turn()
    assert.equal(frames.length, 3)
    const free = line()
    free.mux.congested = true
    assert.equal(free.subject.sendNow(FrameType.udpData, 1), false)
    assert.equal(mux.congested, false)
  })
})

describe('agent', () => {
  /** 200 datagrams to an echo through the agent, `each` a turn: how many messages the answers came in. */
  async function messagesFor(each: number): Promise<number> {
    const echo = createSocket('udp4', (payload, from) => echo.send(payload, from.port))
    echo.bind(0, '127.0.0.1')
    await once(echo, 'listening')
    const shadow = await startAgent()
    const tunnel = await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })
    const { mux } = (tunnel as unknown as { session: { mux: ChannelMux } }).session
    const got = new Set<string>()
    let answered = (_count: number) => {}
    const answers = (count: number) =>
      new Promise<void>((resolve) => {
        answered = (have) => have === count && resolve()
      })
    const target = { address: IpAddress.parse('127.0.0.1'), port: echo.address().port }
    const flow = tunnel.openDatagrams(target, {
      onDatagram(payload) {
        got.add(Buffer.from(payload).toString())
        answered(got.size)
      },
      onFail() {},
    })
    flow.send(Buffer.from('opened'))
    await answers(1)
    await sleep(100) // the probes at the start
    const before = mux.heard
    for (let i = 0; i < 200; i += each) {
      for (let k = i; k < i + each; k++) flow.send(Buffer.from(`datagram ${k}`))
      await answers(1 + i + each)
    }
    const messages = mux.heard - before
    await tunnel.close()
    await shadow.stop()
    echo.close()
    return messages
  }

  it('answers datagrams that came together in few messages', async () => {
    // A socket holds some hundred small datagrams at least, so 40 are not lost.
    const messages = await messagesFor(40)
    assert.ok(messages <= 100, `200 answers in ${messages} messages`)
  })

  it('lets an answer to a single datagram wait for nobody', async () => {
    const messages = await messagesFor(1)
    assert.ok(messages >= 200, `200 answers in ${messages} messages`)
  })
})
