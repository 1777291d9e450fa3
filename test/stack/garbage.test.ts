// The packet path leaves no garbage: what is allocated for each packet is collected for each packet, and the pauses are what a
// program behind the tunnel notices. Counted in bytes, so the machine's load does not matter.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocated } from '../../bench/measure.ts'
import { AckFeed, batch, Pair, seeded, sink } from '../../bench/stack-pair.ts'
import { createStack, type UdpFlow } from '../../src/stack/index.ts'
import { PROTOCOL_UDP } from '../../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../../src/wire/ipv4.ts'
import { UDP_HEADER, writeUdp } from '../../src/wire/udp.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'

// The compiler may still be at work in a round, so the best of several counts; one object a packet would be 16 at least.
const ROUNDS = 8
const LIMIT = 1

/** Bytes a packet. `round` returns how many packets it handled. */
function garbage(round: () => number): number {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < ROUNDS; i++) {
    let packets = 0
    const bytes = allocated(() => {
      packets = round()
    })
    best = Math.min(best, bytes / packets)
  }
  return best
}

test('a pure ACK allocates nothing', () => {
  const feed = new AckFeed(2048)
  const bytes = garbage(() => {
    const before = feed.acked
    for (let i = 0; i < 40; i++) {
      feed.send()
      feed.acknowledge()
    }
    return feed.acked - before
  })
  assert.equal(feed.acked, ROUNDS * 40 * 2048)
  assert.ok(bytes < LIMIT, `${bytes.toFixed(2)} bytes for each ACK`)
})

test('neither does a segment with its ACK, when each is flushed by itself', () => {
  let time = 0
  const pair = new Pair(true, () => time++ >> 8)
  let received = 0
  pair.serve(() => ({
    ...sink,
    onData(_buffer, start, end) {
      received += end - start
      return end - start
    },
  }))
  const flows = pair.open(10)
  const chunk = new Uint8Array(1000)
  const bytes = garbage(() => {
    const before = pair.packets
    for (let i = 0; i < 20_000; i++) {
      flows[i % 10].send(chunk)
      pair.settle()
    }
    return pair.packets - before
  })
  assert.equal(received, ROUNDS * 20_000_000)
  assert.ok(bytes < LIMIT, `${bytes.toFixed(2)} bytes for each packet`)
})

test('nor a datagram that is sent on a flow', () => {
  let flow: UdpFlow | undefined
  const stack = createStack({ mtu: 1500, gso: true, random: seeded(), output() {} })
  stack.setHandlers({
    onTcp: () => undefined,
    onUdp(opened) {
      flow = opened
      return { onDatagram() {}, onClose() {} }
    },
    onEcho() {},
  })
  const frame = new Uint8Array(VNET_HDR_LEN + IPV4_HEADER + UDP_HEADER)
  frame[0] = 1 // checksum left out
  writeIpv4(frame, VNET_HDR_LEN, IPV4_HEADER + UDP_HEADER, PROTOCOL_UDP, 0x0a090001, 0x0a090002, 0, 0x4000)
  writeUdp(frame, VNET_HDR_LEN + IPV4_HEADER, (4000 << 16) | 5000, UDP_HEADER, 0)
  stack.input(...batch(frame, 1), 1, 1)
  assert.ok(flow)
  const opened = flow
  const payload = new Uint8Array(100)
  const bytes = garbage(() => {
    for (let i = 0; i < 20_000; i++) {
      opened.send(payload)
      stack.flush(1)
    }
    return 20_000
  })
  assert.ok(bytes < LIMIT, `${bytes.toFixed(2)} bytes for each datagram`)
})
