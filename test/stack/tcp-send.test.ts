import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { get16le } from '../../src/wire/bytes.ts'
import { VNET_GSO_TCPV4, VNET_GSO_TCPV6 } from '../../src/wire/vnet.ts'
import { Peer, pattern } from './peer.ts'

describe('sending', () => {
  test('chunks are joined into full segments, bytes in order', () => {
    const peer = new Peer()
    peer.open({ mss: 1000 })
    for (let i = 0; i < 25; i++) peer.flow.send(pattern(100, i * 100))
    const sent = peer.sent()
    assert.deepEqual(
      sent.map(({ text }) => text),
      ['A 1+1000 ack 1', 'A 1001+1000 ack 1', 'A 2001+500 ack 1'],
    )
    assert.deepEqual(
      sent.flatMap(({ payload }) => [...payload]),
      [...pattern(2500)],
    )
    assert.equal(peer.flow.unacknowledged, 2500)
    peer.send('A', { seq: 1, ack: 1501 })
    assert.equal(peer.flow.unacknowledged, 1000)
    assert.deepEqual(peer.events, ['acked 1500'])
  })

  for (const v6 of [false, true]) {
    test(`with GSO, one frame carries up to 64 KB, whole segments and how to cut them, IPv${v6 ? 6 : 4}`, () => {
      const peer = new Peer({ gso: true }, v6)
      peer.open({ mss: 1400, scale: 5 })
      peer.flow.send(pattern(100_000))
      const sent = peer.sent()
      assert.deepEqual(
        sent.map(({ length }) => length),
        [64400, 35600],
      )
      const [{ frame }] = sent
      assert.equal(frame[1], v6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4)
      assert.equal(get16le(frame, 2), v6 ? 60 : 40)
      assert.equal(get16le(frame, 4), 1400)
    })
  }

  test('waits for a window worth a segment (silly window, RFC 9293 3.8.6.2.1)', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 4000 })
    peer.flow.send(pattern(10_000))
    peer.expect('A 1+1000 ack 1', 'A 1001+1000 ack 1', 'A 2001+1000 ack 1', 'A 3001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1001, window: 3200 })
    peer.expect()
    peer.send('A', { seq: 1, ack: 1001, window: 4000 })
    peer.expect('A 4001+1000 ack 1')
  })

  test('a closed window is probed with a byte, again and again as long as the peer answers', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 1000 })
    peer.flow.send(pattern(3000))
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1001, window: 0 })
    peer.expect()
    for (const after of [200, 400, 800, 1600, 3200]) {
      peer.wait(after)
      peer.expect('A 1001+1 ack 1')
      peer.send('A', { seq: 1, ack: 1001, window: 0 })
    }
    for (let i = 0; i < 60; i++) {
      peer.wait(60_000)
      assert.ok(peer.sent().every(({ text }) => text === 'A 1001+1 ack 1'))
      peer.send('A', { seq: 1, ack: 1001, window: 0 })
    }
    assert.equal(peer.flow.state, 'ESTABLISHED')
    peer.send('A', { seq: 1, ack: 1001, window: 1000 })
    peer.expect('A 1001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 2001, window: 1000 })
    peer.expect('A 2001+1000 ack 1')
  })

  test('an ACK while the window is closed carries a number that the peer accepts, not that of the probe', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 1000 })
    peer.flow.send(pattern(3000))
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1001, window: 0 })
    peer.wait(200)
    peer.expect('A 1001+1 ack 1')
    peer.send('A', { seq: 1, ack: 1001, data: 10, window: 0 })
    peer.expect('A 1001 ack 11')
  })

  test('answers to probes are no duplicate ACKs: nothing is sent before the next probe', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 3000 })
    peer.flow.send(pattern(9000))
    assert.equal(peer.sent().length, 3)
    peer.send('A', { seq: 1, ack: 3001, window: 0 })
    peer.wait(200)
    peer.expect('A 3001+1 ack 1')
    for (let i = 0; i < 5; i++) {
      peer.send('A', { seq: 1, ack: 3001, window: 0 })
      peer.expect()
    }
  })

  test('a probe that was taken counts', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 1000 })
    peer.flow.send(pattern(1500))
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1001, window: 0 })
    peer.wait(200)
    const [probe] = peer.sent()
    assert.deepEqual([...probe.payload], [...pattern(1, 1000)])
    peer.send('A', { seq: 1, ack: 1002, window: 1000 })
    const [rest] = peer.sent()
    assert.equal(rest.text, 'A 1002+499 ack 1')
    assert.deepEqual([...rest.payload], [...pattern(499, 1001)])
    assert.deepEqual(peer.events, ['acked 1000', 'acked 1'])
  })

  test('probes that nobody answers end in a time-out', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 1000 })
    peer.flow.send(pattern(3000))
    peer.send('A', { seq: 1, ack: 1, window: 1000 })
    peer.send('A', { seq: 1, ack: 1001, window: 0 })
    peer.wait(400_000)
    assert.equal(peer.events.at(-1), 'close timeout')
    assert.equal(peer.stack.counters.tcpFlows, 0)
  })

  test('FIN alone probes a closed window', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 1000 })
    peer.flow.send(pattern(1000))
    peer.flow.end()
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1001, window: 0 })
    peer.wait(200)
    peer.expect('FA 1001 ack 1')
    peer.send('A', { seq: 1, ack: 1002, window: 0 })
    assert.equal(peer.flow.state, 'FIN-WAIT-2')
  })

  test('a window that shrinks does not break anything', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 5000 })
    peer.flow.send(pattern(6000))
    assert.equal(peer.sent().length, 5)
    peer.send('A', { seq: 1, ack: 1, window: 100 })
    peer.expect()
    peer.wait(200)
    peer.expect()
    peer.wait(400)
    const [probe] = peer.sent()
    assert.equal(probe.seq, 1)
    peer.send('A', { seq: 1, ack: 1, window: 5000 })
    assert.equal(peer.sent()[0].text, 'A 1+1000 ack 1')
  })
})

describe('the window of the peer (RFC 9293 3.10.7.4, SND.WL1 and SND.WL2)', () => {
  test('is not taken from a segment that is older than the one that told it last', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 4000 })
    peer.send('A', { seq: 201, ack: 1, data: 100, window: 1000 })
    peer.send('A', { seq: 1, ack: 1, data: 200, window: 9000 })
    peer.sent()
    peer.flow.send(pattern(9000))
    peer.expect('A 1+1000 ack 301')
  })

  test('is not taken from a segment with an older ACK, though its data are newer', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 2000 })
    peer.flow.send(pattern(9000))
    peer.expect('A 1+1000 ack 1', 'A 1001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 2001, window: 1000 })
    peer.expect('A 2001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1001, data: 100, window: 9000 })
    peer.expect('A 3001 ack 101')
    peer.send('A', { seq: 201, ack: 1001, data: 100, window: 9000 })
    peer.expect('A 3001 ack 101')
  })
})

describe('retransmission', () => {
  test('after 200 ms at least, then twice as long each time, until given up (RFC 6298 5, RFC 9293 3.8.3)', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.send(pattern(100))
    peer.expect('A 1+100 ack 1')
    for (const after of [200, 400, 800, 1600, 3200, 6400]) {
      peer.wait(after - 1)
      peer.expect()
      peer.wait(1)
      peer.expect('A 1+100 ack 1')
    }
    peer.wait(400_000)
    assert.deepEqual(peer.events, ['close timeout'])
    assert.equal(peer.texts().at(-1), 'RA 101 ack 1')
    assert.equal(peer.stack.counters.tcpFlows, 0)
  })

  test('the time-out follows the round trip measured (RFC 6298 2)', () => {
    const peer = new Peer()
    peer.send('S')
    peer.flow.accept()
    peer.sent()
    peer.now = 300
    peer.send('A', { seq: 1, ack: 1 }) // SRTT 300, RTTVAR 150: RTO 900
    peer.flow.send(pattern(10))
    peer.expect('A 1+10 ack 1')
    peer.wait(899)
    peer.expect()
    peer.wait(1)
    peer.expect('A 1+10 ack 1')
  })

  test('what was sent again is not measured (Karn)', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.send(pattern(10))
    peer.sent()
    peer.wait(500) // sent again at 200
    peer.sent()
    peer.send('A', { seq: 1, ack: 11 })
    peer.flow.send(pattern(10))
    peer.expect('A 11+10 ack 1')
    peer.wait(200)
    peer.expect('A 11+10 ack 1')
  })

  test('three duplicate ACKs: the first segment at once, without SACK (RFC 5681 3.2), partial ACKs the next (RFC 6582)', () => {
    const peer = new Peer()
    peer.open({ mss: 1000 })
    peer.flow.send(pattern(8000))
    assert.equal(peer.sent().length, 8)
    peer.send('A', { seq: 1, ack: 1 })
    peer.send('A', { seq: 1, ack: 1 })
    peer.expect()
    peer.send('A', { seq: 1, ack: 1 })
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1 })
    peer.expect()
    peer.send('A', { seq: 1, ack: 3001 })
    peer.expect('A 3001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 8001 })
    peer.expect()
    assert.equal(peer.stack.counters.retransmitted, 2)
    peer.wait(10_000)
    peer.expect()
  })

  test('limited transmit: the first two duplicate ACKs let new data out (RFC 3042)', () => {
    const peer = new Peer()
    peer.open({ mss: 1000 })
    peer.flow.send(pattern(2000))
    peer.sent()
    peer.wait(200) // a time-out, so that the congestion window is one segment
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 2001 })
    peer.flow.send(pattern(9000, 2000))
    peer.expect('A 2001+1000 ack 1', 'A 3001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 2001 })
    peer.expect('A 4001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 2001 })
    peer.expect('A 5001+1000 ack 1')
  })

  test('SACK: only the holes are sent again (RFC 6675)', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, sackOk: true })
    peer.flow.send(pattern(10_000))
    assert.equal(peer.sent().length, 10)
    peer.send('A', { seq: 1, ack: 1, sack: [1001, 2001] })
    peer.expect()
    peer.send('A', { seq: 1, ack: 1, sack: [3001, 4001, 1001, 2001] })
    peer.expect()
    peer.send('A', { seq: 1, ack: 1, sack: [5001, 6001, 3001, 4001, 1001, 2001] })
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1, sack: [6001, 10_001, 5001, 6001, 3001, 4001, 1001, 2001] })
    peer.expect('A 2001+1000 ack 1', 'A 4001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 10_001 })
    peer.wait(10_000)
    peer.expect()
    assert.equal(peer.stack.counters.retransmitted, 3)
    assert.deepEqual(peer.events, ['acked 10000'])
  })

  test('a segment that is lost again is sent again without a time-out', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, sackOk: true })
    peer.flow.send(pattern(20_000))
    assert.equal(peer.sent().length, 20)
    peer.send('A', { seq: 1, ack: 1, sack: [1001, 20_001] })
    peer.expect('A 1+1000 ack 1')
    peer.flow.send(pattern(5000, 20_000))
    assert.equal(peer.sent().length, 5)
    peer.send('A', { seq: 1, ack: 1, sack: [1001, 22_001] })
    peer.expect()
    peer.send('A', { seq: 1, ack: 1, sack: [1001, 23_001] })
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 1, sack: [1001, 24_001] })
    peer.expect()
  })

  test('the tail is probed before a time-out (RFC 8985 7), once, and not for a single segment', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, sackOk: true })
    peer.flow.send(pattern(3000))
    assert.equal(peer.sent().length, 3)
    peer.wait(20)
    peer.expect('A 2001+1000 ack 1')
    peer.wait(199)
    peer.expect()
    peer.send('A', { seq: 1, ack: 2001 })
    peer.wait(100)
    peer.expect()
  })

  test('SACK of what was never sent, below the ACK, or turned round is no news', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, sackOk: true })
    peer.flow.send(pattern(5000))
    peer.sent()
    for (const sack of [
      [90_001, 95_001],
      [-3000, -2000],
      [3001, 2001],
      [4001, 9001],
    ]) {
      for (let i = 0; i < 4; i++) peer.send('A', { seq: 1, ack: 1, sack })
    }
    peer.expect()
    assert.equal(peer.stack.counters.retransmitted, 0)
  })

  test('a time-out forgets what SACK told (RFC 2018 8), sends one segment, and grows again', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, sackOk: true })
    peer.flow.send(pattern(6000))
    peer.sent()
    peer.send('A', { seq: 1, ack: 1, sack: [1001, 2001] })
    peer.wait(20)
    peer.expect('A 5001+1000 ack 1') // the probe of the tail
    peer.wait(200)
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 2001 })
    peer.expect('A 2001+1000 ack 1', 'A 3001+1000 ack 1', 'A 4001+1000 ack 1')
    peer.send('A', { seq: 1, ack: 5001 })
    peer.expect('A 5001+1000 ack 1')
  })

  test('an ACK of everything after a time-out sends nothing again', () => {
    const peer = new Peer()
    peer.open({ mss: 1000 })
    peer.flow.send(pattern(3000))
    peer.sent()
    peer.wait(200)
    peer.expect('A 1+1000 ack 1')
    peer.send('A', { seq: 1, ack: 3001 })
    peer.flow.send(pattern(10))
    peer.expect('A 3001+10 ack 1')
  })
})

describe('keep-alive', () => {
  test('an idle flow is probed after two hours, and stays while the peer answers', () => {
    const peer = new Peer()
    peer.open()
    peer.wait(7_199_000)
    peer.expect()
    peer.wait(1_000)
    peer.expect('A 0 ack 1')
    peer.send('A', { seq: 1, ack: 1 })
    peer.wait(7_199_000)
    peer.expect()
    assert.equal(peer.flow.state, 'ESTABLISHED')
  })

  test('nine probes without an answer end it', () => {
    const peer = new Peer({ tuning: { keepAliveIdle: 10_000, keepAliveInterval: 1_000 } })
    peer.open()
    peer.wait(18_500)
    assert.equal(peer.sent().length, 9)
    assert.deepEqual(peer.events, [])
    peer.wait(1_000)
    peer.expect('RA 1 ack 1')
    assert.deepEqual(peer.events, ['close timeout'])
  })

  test('the probe of the peer is answered', () => {
    const peer = new Peer()
    peer.open()
    peer.wait(1000)
    peer.send('A', { seq: 0, ack: 1 })
    peer.expect('A 1 ack 1')
    peer.send('A', { seq: 0, ack: 1, data: 1 })
    peer.expect('A 1 ack 1')
    assert.deepEqual(peer.received, [])
  })
})
