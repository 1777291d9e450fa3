import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Rejection } from '../../src/stack/index.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'
import { Line } from './line.ts'
import { ADDRESSES, assertIntact, Peer } from './peer.ts'

for (const v6 of [false, true]) {
  describe(`dial before the answer, IPv${v6 ? 6 : 4}`, () => {
    test('a SYN is not answered until the flow is accepted', () => {
      const peer = new Peer({}, v6)
      peer.send('S', { mss: 1460, scale: 7, sackOk: true })
      peer.expect()
      assert.equal(peer.flow.state, 'SYN-RECEIVED')
      assert.ok(peer.flow.local.address.equals(v6 ? ADDRESSES.stack6 : ADDRESSES.stack))
      assert.ok(peer.flow.remote.address.equals(v6 ? ADDRESSES.peer6 : ADDRESSES.peer))
      assert.deepEqual([peer.flow.local.port, peer.flow.remote.port], [80, 4000])
      peer.send('S', { mss: 1460, scale: 7, sackOk: true })
      peer.expect() // sent again: swallowed
      peer.flow.accept()
      const [answer, ...more] = peer.sent()
      assert.equal(more.length, 0)
      assert.equal(answer.text, 'SA 0 ack 1')
      assert.equal(answer.options.mss, v6 ? 1440 : 1460)
      assert.equal(answer.options.windowScale, 5, '64 KiB times 32 holds 1 MiB')
      assert.equal(answer.options.sackPermitted, true)
      assert.equal(answer.window, 65535, 'never scaled in a SYN')
      peer.send('S', { mss: 1460, scale: 7, sackOk: true })
      peer.expect('SA 0 ack 1')
      peer.send('A', { seq: 1, ack: 1 })
      peer.expect()
      assert.equal(peer.flow.state, 'ESTABLISHED')
    })

    test('accept from within onTcp', () => {
      const peer = new Peer({}, v6)
      peer.onTcp = (flow) => {
        flow.accept()
        return peer.handler
      }
      peer.send('S', { mss: 1460 })
      peer.expect('SA 0 ack 1')
    })

    test('refused is a RST that the SYN can be matched with', () => {
      const peer = new Peer({}, v6)
      peer.send('S', { mss: 1460 })
      peer.flow.reject('refused')
      peer.expect('RA 0 ack 1')
      assert.equal([...peer.stack.flows()].length, 0)
      assert.equal(peer.stack.counters.tcpFlows, 0)
    })

    const codes: [Rejection, number, number, number, number][] = [
      ['host-unreachable', 3, 1, 1, 3],
      ['net-unreachable', 3, 0, 1, 0],
      ['prohibited', 3, 13, 1, 1],
    ]
    for (const [reason, type4, code4, type6, code6] of codes) {
      test(`${reason} is an ICMP error that quotes the SYN`, () => {
        const peer = new Peer({}, v6)
        peer.send('S', { mss: 1460 })
        peer.flow.reject(reason)
        peer.stack.flush(0)
        assert.equal(peer.frames.length, 1)
        const [frame] = peer.frames
        assertIntact(frame)
        const ip = VNET_HDR_LEN + (v6 ? 40 : 20)
        assert.deepEqual([frame[ip], frame[ip + 1]], v6 ? [type6, code6] : [type4, code4])
        const quoted = ip + 8 + (v6 ? 40 : 20)
        assert.deepEqual([...frame.subarray(quoted, quoted + 4)], [4000 >> 8, 4000 & 255, 0, 80])
        assert.deepEqual([...frame.subarray(quoted + 4, quoted + 8)], [255, 255, 255, 236], 'its sequence number')
        assert.equal(peer.stack.counters.tcpFlows, 0)
      })
    }

    test('silence is silence', () => {
      const peer = new Peer({}, v6)
      peer.send('S', { mss: 1460 })
      peer.flow.reject('silence')
      peer.expect()
      peer.onTcp = () => undefined
      peer.send('S', { mss: 1460 })
      peer.expect()
      assert.equal(peer.stack.counters.tcpFlows, 0)
    })
  })
}

describe('a SYN that is not decided on', () => {
  test('is forgotten when the program has not repeated it for 130 s', () => {
    const peer = new Peer()
    peer.send('S')
    peer.wait(100_000)
    peer.send('S')
    peer.wait(129_000)
    assert.deepEqual(peer.events, [])
    peer.wait(2_000)
    assert.deepEqual(peer.events, ['close timeout'])
    peer.flow.accept()
    peer.expect()
    assert.equal(peer.stack.nextDeadline(), Infinity)
  })

  test('is given up by a RST', () => {
    const peer = new Peer()
    peer.send('S')
    peer.send('RA', { seq: 5, ack: 0 })
    assert.deepEqual(peer.events, [], 'only with the right sequence number')
    peer.send('R', { seq: 1 })
    assert.deepEqual(peer.events, ['close reset'])
  })

  test('is replaced by a SYN with another sequence number', () => {
    const peer = new Peer()
    peer.send('S')
    const { flow } = peer
    peer.send('S', { seq: 5000 })
    assert.deepEqual(peer.events, ['close reset'])
    assert.notEqual(peer.flow, flow)
    assert.equal(flow.state, 'CLOSED')
    peer.flow.accept()
    peer.expect('SA 0 ack 5001')
  })

  test('ignores everything else', () => {
    const peer = new Peer()
    peer.send('S')
    peer.send('A', { seq: 1, ack: 1, data: 10 })
    peer.send('FA', { seq: 1, ack: 1 })
    peer.expect()
    assert.deepEqual(peer.events, [])
    assert.equal(peer.flow.state, 'SYN-RECEIVED')
  })
})

describe('the handshake', () => {
  test('SYN-ACK is repeated with back-off and given up after three minutes', () => {
    const peer = new Peer()
    peer.send('S')
    peer.flow.accept()
    const times: number[] = []
    peer.expect('SA 0 ack 1')
    for (let i = 0; i < 400; i++) {
      peer.wait(1000)
      for (const { text } of peer.sent()) {
        if (text === 'SA 0 ack 1') times.push(peer.now / 1000)
        else assert.equal(text, 'RA 1 ack 1')
      }
    }
    assert.deepEqual(times.slice(0, 6), [1, 3, 7, 15, 31, 63])
    assert.deepEqual(peer.events, ['close timeout'])
  })

  test('an ACK of something that was never sent is answered with RST', () => {
    const peer = new Peer()
    peer.send('S')
    peer.flow.accept()
    peer.expect('SA 0 ack 1')
    peer.send('A', { seq: 1, ack: 77 })
    peer.expect('R 77')
    assert.equal(peer.flow.state, 'SYN-RECEIVED')
  })

  test('without options, MSS is 536, windows are not scaled, and there is no SACK', () => {
    const peer = new Peer()
    peer.send('S')
    peer.flow.accept()
    const [answer] = peer.sent()
    assert.deepEqual([answer.options.mss, answer.options.windowScale, answer.options.sackPermitted], [1460, -1, false])
    peer.send('A', { seq: 1, ack: 1, data: 10 })
    assert.ok(peer.sent()[0].window > 65000, 'unscaled')
    peer.flow.send(new Uint8Array(1000))
    peer.expect('A 1+536 ack 11', 'A 537+464 ack 11')
  })

  test('the window of the peer is scaled by what its SYN said', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, scale: 3, window: 1000 })
    peer.flow.send(new Uint8Array(20_000))
    assert.equal(
      peer.sent().reduce((sum, { length }) => sum + length, 0),
      8000,
    )
  })

  test('data in a SYN is not taken', () => {
    const peer = new Peer()
    peer.send('S', { data: 10 })
    peer.flow.accept()
    peer.expect('SA 0 ack 1')
  })

  test('data with the ACK that ends it is delivered', () => {
    const peer = new Peer()
    peer.send('S')
    peer.flow.accept()
    peer.expect('SA 0 ack 1')
    peer.send('A', { seq: 1, ack: 1, data: 10 })
    peer.expect('A 1 ack 11')
    assert.equal(peer.received.length, 10)
  })

  test('a segment for no connection is reset with the sequence number it acknowledged', () => {
    const peer = new Peer()
    peer.send('A', { seq: 10, ack: 50, data: 10 })
    peer.expect('R 50')
    peer.send('R', { seq: 10 })
    peer.send('F', { seq: 10 })
    peer.expect()
  })

  test('on an own address, a port nobody listens on is refused', () => {
    const peer = new Peer({ ownAddresses: [ADDRESSES.stack] })
    peer.send('S')
    peer.expect('RA 0 ack 1')
    peer.stack.listenTcp({ address: ADDRESSES.stack, port: 80 }, (flow) => {
      flow.accept()
      return peer.handler
    })
    peer.send('S')
    peer.expect('SA 0 ack 1')
  })

  test('a SYN above the limit of flows is not answered', () => {
    const peer = new Peer({ limits: { tcpFlows: 2 } })
    for (const port of [1, 2, 3]) peer.send('S', { port })
    assert.equal(peer.stack.counters.tcpFlows, 2)
    assert.equal(peer.stack.counters.dropped, 1)
    peer.expect()
  })

  test('a flow that is over makes room for another', () => {
    const peer = new Peer({ limits: { tcpFlows: 2 } })
    peer.send('S', { port: 1 })
    const first = peer.flow
    peer.send('S', { port: 2 })
    first.reset()
    peer.send('S', { port: 3 })
    assert.equal(peer.stack.counters.tcpFlows, 2)
    assert.equal(peer.stack.counters.dropped, 0)
  })

  test('flows in TIME-WAIT count too, up to as many as may be open', () => {
    const peer = new Peer({ limits: { tcpFlows: 2 } })
    for (let port = 1; port <= 4; port++) {
      peer.send('S', { port })
      peer.flow.accept()
      peer.stack.flush(0)
      peer.send('A', { port, seq: 1, ack: 1 })
      peer.flow.end()
      peer.stack.flush(0)
      peer.send('FA', { port, seq: 1, ack: 2 })
      assert.equal(peer.flow.state, 'TIME-WAIT')
    }
    assert.equal(peer.stack.counters.tcpFlows, 0)
    peer.send('S', { port: 5 })
    assert.equal(peer.stack.counters.dropped, 1)
    peer.wait(130_000)
    peer.send('S', { port: 5 })
    assert.equal(peer.stack.counters.tcpFlows, 1)
  })
})

describe('connect', () => {
  const local = { address: ADDRESSES.stack, port: 80 }
  const remote = { address: ADDRESSES.peer, port: 4000 }

  test('sends a SYN and opens on SYN-ACK', () => {
    const peer = new Peer()
    peer.flow = peer.stack.connect(local, remote, { ...peer.handler, onOpen: () => peer.events.push('open') })
    peer.expect('S 0')
    assert.equal(peer.flow.state, 'SYN-SENT')
    peer.wait(1000)
    peer.expect('S 0')
    peer.send('SA', { seq: 0, ack: 1, mss: 1460, scale: 2, sackOk: true })
    peer.expect('A 1 ack 1')
    assert.deepEqual(peer.events, ['open'])
    assert.equal(peer.flow.state, 'ESTABLISHED')
  })

  test('a wrong ACK is reset, a RST counts only with the right one', () => {
    const peer = new Peer()
    peer.flow = peer.stack.connect(local, remote, { ...peer.handler, onOpen() {} })
    peer.expect('S 0')
    peer.send('SA', { seq: 0, ack: 9 })
    peer.expect('R 9')
    peer.send('RA', { seq: 0, ack: 9 })
    peer.send('R', { seq: 0 })
    assert.equal(peer.flow.state, 'SYN-SENT')
    peer.send('RA', { seq: 0, ack: 1 })
    assert.deepEqual(peer.events, ['close reset'])
  })

  test('both sides at once (RFC 9293 3.5, figure 8), segment by segment', () => {
    const peer = new Peer()
    peer.flow = peer.stack.connect(local, remote, { ...peer.handler, onOpen: () => peer.events.push('open') })
    peer.expect('S 0')
    peer.send('S', { seq: 0, mss: 1460 })
    peer.expect('SA 0 ack 1')
    assert.equal(peer.flow.state, 'SYN-RECEIVED')
    peer.send('SA', { seq: 0, ack: 1, mss: 1460 })
    assert.equal(peer.flow.state, 'ESTABLISHED')
    assert.deepEqual(peer.events, ['open'])
  })

  test('both sides at once, two stacks', () => {
    const line = new Line({ delay: 10 })
    const events: string[] = []
    const handler = (name: string) => ({
      onOpen: () => void events.push(`${name} open`),
      onData: (_b: Uint8Array, start: number, end: number) => {
        events.push(`${name} got ${end - start}`)
        return end - start
      },
      onEnd() {},
      onAcked() {},
      onClose: (reason: string) => void events.push(`${name} ${reason}`),
    })
    const a = line.stacks[0].connect(remote, local, handler('a'))
    const b = line.stacks[1].connect(local, remote, handler('b'))
    a.send(new Uint8Array(5))
    b.send(new Uint8Array(6))
    a.end()
    b.end()
    line.run(60_000)
    assert.deepEqual(events.sort(), ['a closed', 'a got 6', 'a open', 'b closed', 'b got 5', 'b open'])
  })
})
