// The work that the bare stack is measured with. Each makes its stacks, and returns a function that does a round of the work and
// tells how much it was.
import { createStack } from '../src/stack/index.ts'
import { PROTOCOL_UDP } from '../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../src/wire/ipv4.ts'
import { UDP_HEADER, writeUdp } from '../src/wire/udp.ts'
import { VNET_HDR_LEN } from '../src/wire/vnet.ts'
import { AckFeed, batch, CLIENT, Pair, SERVER, seeded, sink } from './stack-pair.ts'

export interface Amount {
  packets: number
  bytes: number
  /** What one is: a write, a connection. */
  units: number
}

export type Work = () => Amount

/** One write a turn, each to the next of `flows` connections, until both stacks are silent: a segment and its ACK. */
export function writes(flows: number, size: number, gso = true): Work {
  const pair = new Pair(gso)
  let received = 0
  pair.serve(() => ({
    ...sink,
    onData(_buffer, start, end) {
      received += end - start
      return end - start
    },
  }))
  const open = pair.open(flows)
  const chunk = new Uint8Array(size)
  const each = size >= 16384 ? 256 : 2048
  let at = 0
  return () => {
    const packets = pair.packets
    const bytes = received
    for (let i = 0; i < each; i++) {
      open[at].send(chunk)
      if (++at === flows) at = 0
      pair.settle()
    }
    return { packets: pair.packets - packets, bytes: received - bytes, units: each }
  }
}

/** One connection that never runs dry. */
export function bulk(gso: boolean): Work {
  const pair = new Pair(gso)
  let received = 0
  pair.serve(() => ({
    ...sink,
    onData(_buffer, start, end) {
      received += end - start
      return end - start
    },
  }))
  const [flow] = pair.open(1)
  const chunk = new Uint8Array(65536)
  return () => {
    const packets = pair.packets
    const bytes = received
    for (let i = 0; i < 16; i++) {
      for (let k = 0; k < 8; k++) flow.send(chunk)
      pair.settle()
    }
    return { packets: pair.packets - packets, bytes: received - bytes, units: 128 }
  }
}

/** A byte there and back. */
export function echo(): Work {
  const pair = new Pair()
  pair.serve((flow) => ({
    ...sink,
    onData(buffer, start, end) {
      flow.send(buffer.slice(start, end))
      return end - start
    },
  }))
  const [flow] = pair.open(1)
  const byte = new Uint8Array(1)
  return () => {
    const packets = pair.packets
    for (let i = 0; i < 1024; i++) {
      flow.send(byte)
      pair.settle()
    }
    return { packets: pair.packets - packets, bytes: 2048, units: 1024 }
  }
}

/** Connections opened and closed by both sides, one after the other. */
export function connections(): Work {
  const pair = new Pair()
  pair.serve((flow) => ({ ...sink, onEnd: () => flow.end() }))
  let made = 0
  return () => {
    const packets = pair.packets
    for (let i = 0; i < 512; i++, made++) {
      const flow = pair.a.connect(
        { address: CLIENT, port: 1024 + (made % 60000) },
        { address: SERVER, port: 80 + (Math.floor(made / 60000) % 1000) },
        { ...sink, onOpen: () => flow.end() },
      )
      pair.settle()
    }
    pair.a.tick(performance.now() | 0)
    return { packets: pair.packets - packets, bytes: 0, units: 512 }
  }
}

/** Datagrams to an address of the stack's own, each answered: the way of DNS. */
export function datagrams(): Work {
  const stack = createStack({ mtu: 1500, gso: true, random: seeded(), output() {}, ownAddresses: [SERVER] })
  const payload = new Uint8Array(64)
  stack.listenUdp({ address: SERVER, port: 53 }, (_buffer, _start, _end, reply) => reply(payload))
  const frame = new Uint8Array(VNET_HDR_LEN + IPV4_HEADER + UDP_HEADER + 40)
  frame[0] = 1
  writeIpv4(frame, VNET_HDR_LEN, frame.length - VNET_HDR_LEN, PROTOCOL_UDP, 0x0a090001, 0x0a090002, 0, 0x4000)
  writeUdp(frame, VNET_HDR_LEN + IPV4_HEADER, (40000 << 16) | 53, UDP_HEADER + 40, 0)
  const [buffer, offsets, lengths] = batch(frame, 64)
  return () => {
    for (let i = 0; i < 64; i++) {
      stack.input(buffer, offsets, lengths, 64, performance.now() | 0)
      stack.flush(performance.now() | 0)
    }
    return { packets: 2 * 4096, bytes: 4096 * 104, units: 4096 }
  }
}

/** ACKs without data, each of one byte in flight. */
export function pureAcks(): Work {
  const group = 1024
  const feed = new AckFeed(group)
  return () => {
    const before = feed.acked
    for (let i = 0; i < 8; i++) {
      feed.send()
      feed.acknowledge()
    }
    if (feed.acked - before !== 8 * group) throw new Error(`${feed.acked - before} of ${8 * group} were acknowledged`)
    return { packets: 8 * group, bytes: 8 * group, units: 8 * group }
  }
}
