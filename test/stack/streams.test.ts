// Two stacks and a bad line: whatever it does, both byte streams arrive whole and both sides close.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { StackOptions, TcpFlow, TcpFlowHandler } from '../../src/stack/index.ts'
import type { Endpoint } from '../../src/wire/address.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { IpView } from '../../src/wire/ip.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'
import { type Impairment, Line, seeded } from './line.ts'
import { pattern } from './peer.ts'

const CLIENT: Endpoint = { address: IpAddress.parse('10.0.0.1'), port: 1000 }
const SERVER: Endpoint = { address: IpAddress.parse('10.0.0.2'), port: 80 }
const CLIENT6: Endpoint = { address: IpAddress.parse('fd00::1'), port: 1000 }
const SERVER6: Endpoint = { address: IpAddress.parse('fd00::2'), port: 80 }

/** One end of a connection: sends `size` bytes in chunks, checks what it gets, reads as slowly as it is told to. */
class End {
  flow!: TcpFlow
  got = 0
  acked = 0
  ended = false
  closed: string | undefined
  private sent = 0
  private readonly size: number
  private readonly salt: number
  private readonly random: () => number
  private readonly lazy: boolean

  constructor(size: number, salt: number, random: () => number, lazy: boolean) {
    this.size = size
    this.salt = salt
    this.random = random
    this.lazy = lazy
  }

  readonly handler: TcpFlowHandler = {
    onData: (buffer, start, end) => {
      const taken = this.lazy ? this.random() % (end - start + 1) : end - start
      for (let i = start; i < start + taken; i++) {
        const at = this.got++
        const expected = ((at + (1 - this.salt)) * 7 + ((at + (1 - this.salt)) >> 8)) & 255
        if (buffer[i] !== expected) throw new Error(`byte ${at} is ${buffer[i]}, not ${expected}`)
      }
      return taken
    },
    onEnd: () => {
      assert.equal(this.ended, false)
      this.ended = true
    },
    onAcked: (bytes) => {
      this.acked += bytes
    },
    onClose: (reason) => {
      assert.equal(this.closed, undefined)
      this.closed = reason
    },
  }

  /** Queues a bit more, and reads a bit more. */
  turn(): void {
    if (this.sent < this.size && this.flow.unacknowledged < 200_000) {
      const length = Math.min(this.size - this.sent, 1 + (this.random() % 20_000))
      this.flow.send(pattern(length, this.sent + this.salt))
      this.sent += length
      if (this.sent === this.size) this.flow.end()
    }
    this.flow.resume()
  }
}

function converse(
  impairment: Impairment,
  seed: number,
  sizes: [number, number],
  lazy: boolean,
  v6: boolean,
  options: Partial<StackOptions>,
) {
  // On a line this bad, a second is too short for TIME-WAIT to answer the last FIN.
  const line = new Line(impairment, seed, { tuning: { timeWait: 60_000 }, ...options })
  const random = seeded(seed + 1000)
  const ends = [new End(sizes[0], 0, random, lazy), new End(sizes[1], 1, random, lazy)]
  line.stacks[1].setHandlers({
    onTcp: (flow) => {
      ends[1].flow = flow
      flow.accept()
      return ends[1].handler
    },
    onUdp: () => undefined,
    onEcho() {},
  })
  const [client, server] = v6 ? [CLIENT6, SERVER6] : [CLIENT, SERVER]
  ends[0].flow = line.stacks[0].connect(client, server, { ...ends[0].handler, onOpen() {} })
  const over = () => ends.every(({ closed }) => closed !== undefined)
  for (let turn = 0; turn < 100_000 && !over(); turn++) {
    for (const end of ends) if (end.flow && end.closed === undefined) end.turn()
    line.run(line.now + 1 + (random() % 20))
  }
  assert.deepEqual(
    ends.map(({ got, acked, ended, closed }) => ({ got, acked, ended, closed })),
    [
      { got: sizes[1], acked: sizes[0], ended: true, closed: 'closed' },
      { got: sizes[0], acked: sizes[1], ended: true, closed: 'closed' },
    ],
  )
  // Counted once, whatever was lost, repeated or came too early.
  assert.deepEqual(
    ends.map(({ flow }) => [flow.bytesSent, flow.bytesReceived]),
    [sizes, [sizes[1], sizes[0]]],
  )
  line.run(line.now + 200_000)
  for (const stack of line.stacks) {
    assert.equal(stack.counters.tcpFlows, 0)
    assert.equal(stack.nextDeadline(), Infinity)
  }
  return line
}

test('any byte stream both ways arrives intact and both sides close', () => {
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.integer({ min: 1 }),
        loss: fc.constantFrom(0, 0.01, 0.05, 0.15),
        delay: fc.constantFrom(0, 1, 30),
        jitter: fc.constantFrom(0, 0, 5, 40),
        duplicate: fc.constantFrom(0, 0.02),
        sizes: fc.tuple(fc.integer({ min: 1, max: 300_000 }), fc.integer({ min: 1, max: 30_000 })),
        lazy: fc.boolean(),
        v6: fc.boolean(),
        cut: fc.boolean(),
        window: fc.constantFrom(3000, 70_000, 1 << 20),
      }),
      ({ seed, sizes, lazy, v6, window, ...impairment }) => {
        converse(impairment, seed, sizes, lazy, v6, { limits: { receiveBytesPerFlow: window } })
      },
    ),
    { numRuns: 120, seed: 20261121, interruptAfterTimeLimit: 60_000 },
  )
})

test('so it does without SACK and window scaling', () => {
  // The SYN's options behind the MSS become NOPs on the line.
  for (let seed = 1; seed < 12; seed++) {
    const original = Line.prototype.run
    const line = { loss: 0.05, delay: 5, jitter: 3, cut: true }
    const strip = (frame: Uint8Array): boolean => {
      const view = new IpView()
      if (view.parse(frame, VNET_HDR_LEN, frame.length) && frame[view.payload + 13] & 2) {
        frame.fill(1, view.payload + 24, view.payload + ((frame[view.payload + 12] >> 4) << 2))
        frame[0] = 1 // the checksum is as good as verified
      }
      return true
    }
    try {
      Line.prototype.run = function (this: Line, ...args) {
        this.filter ??= strip
        return original.apply(this, args)
      }
      converse(line, seed, [200_000, 20_000], false, false, {})
    } finally {
      Line.prototype.run = original
    }
  }
})

describe('many flows', () => {
  test('500 at once over a line with loss, none is left behind', () => {
    const line = new Line({ loss: 0.02, delay: 2, jitter: 2 }, 3)
    let served = 0
    let closed = 0
    line.stacks[1].setHandlers({
      onTcp: (flow) => {
        flow.accept()
        return {
          onData(buffer, start, end) {
            flow.send(buffer.slice(start, end))
            return end - start
          },
          onEnd: () => flow.end(),
          onAcked() {},
          onClose: () => served++,
        }
      },
      onUdp: () => undefined,
      onEcho() {},
    })
    let echoed = 0
    for (let i = 0; i < 500; i++) {
      const flow = line.stacks[0].connect({ ...CLIENT, port: 2000 + i }, SERVER, {
        onOpen: () => {
          flow.send(pattern(3000))
          flow.end()
        },
        onData(_buffer, start, end) {
          echoed += end - start
          return end - start
        },
        onEnd() {},
        onAcked() {},
        onClose: () => closed++,
      })
    }
    line.run(120_000)
    assert.deepEqual([served, closed, echoed], [500, 500, 1_500_000])
    for (const stack of line.stacks) {
      assert.equal(stack.counters.tcpFlows, 0)
      assert.equal(stack.nextDeadline(), Infinity)
    }
  })
})

/** MB/s in virtual time of 4 MB one way, for the table. */
function throughput(impairment: Impairment): string {
  const line = new Line({ cut: true, rate: 125e6, queue: 500, ...impairment }, 42)
  const size = 4_000_000
  let got = 0
  const onData = (_buffer: Uint8Array, start: number, end: number) => {
    got += end - start
    return end - start
  }
  line.stacks[1].setHandlers({
    onTcp: (flow) => {
      flow.accept()
      return { onData, onEnd() {}, onAcked() {}, onClose() {} }
    },
    onUdp: () => undefined,
    onEcho() {},
  })
  const flow = line.stacks[0].connect(CLIENT, SERVER, {
    onOpen() {},
    onData: (_b, start, end) => end - start,
    onEnd() {},
    onAcked() {},
    onClose() {},
  })
  flow.send(new Uint8Array(size))
  if (!line.run(3_600_000, () => got === size)) return 'never'
  return (size / 1000 / line.now).toFixed(line.now > 40_000 ? 3 : 2)
}

test('throughput over loss and delay is that of the table', () => {
  const losses = [0, 0.001, 0.01, 0.03, 0.1]
  const delays = [0, 1, 5, 20, 80]
  const rows = [`loss \\ ms  ${delays.map((delay) => String(delay).padStart(8)).join('')}`]
  for (const loss of losses) {
    const cells = delays.map((delay) => throughput({ loss, delay }).padStart(8))
    rows.push(`${`${loss * 100} %`.padEnd(11)}${cells.join('')}`)
  }
  const table = `MB/s of 4 MB over a line of 125 MB/s with a queue of 500 packets, by loss and by delay one way, seed 42\n\n${rows.join('\n')}\n`
  const file = new URL('throughput.golden.txt', import.meta.url)
  if (process.env['KT_UPDATE_GOLDEN']) writeFileSync(file, table)
  assert.equal(table, readFileSync(file, 'utf8'), 'KT_UPDATE_GOLDEN=1 writes it anew')
})
