import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Peer, pattern } from './peer.ts'

describe('closing', () => {
  test('the peer first: CLOSE-WAIT may send, LAST-ACK ends', () => {
    const peer = new Peer()
    peer.open()
    peer.send('FA', { seq: 1, ack: 1, data: 3 })
    peer.expect('A 1 ack 5')
    assert.deepEqual(peer.events, ['end'])
    assert.equal(peer.flow.state, 'CLOSE-WAIT')
    peer.flow.send(pattern(10))
    peer.expect('A 1+10 ack 5')
    peer.send('A', { seq: 5, ack: 11 })
    peer.flow.end()
    peer.expect('FA 11 ack 5')
    assert.equal(peer.flow.state, 'LAST-ACK')
    peer.send('A', { seq: 5, ack: 12 })
    assert.deepEqual(peer.events, ['end', 'acked 10', 'close closed'])
    assert.equal(peer.flow.state, 'CLOSED')
    assert.equal(peer.stack.nextDeadline(), Infinity)
    peer.expect()
  })

  test('our side first: FIN-WAIT-2 still receives, TIME-WAIT answers and passes', () => {
    const peer = new Peer({ tuning: { timeWait: 1000 } })
    peer.open()
    peer.flow.send(pattern(4))
    peer.flow.end()
    peer.expect('FA 1+4 ack 1')
    assert.equal(peer.flow.state, 'FIN-WAIT-1')
    peer.send('A', { seq: 1, ack: 6 })
    assert.equal(peer.flow.state, 'FIN-WAIT-2')
    peer.send('A', { seq: 1, ack: 6, data: 20 })
    peer.expect('A 6 ack 21')
    assert.equal(peer.received.length, 20)
    peer.send('FA', { seq: 21, ack: 6 })
    peer.expect('A 6 ack 22')
    assert.equal(peer.flow.state, 'TIME-WAIT')
    assert.deepEqual(peer.events, ['acked 4', 'end', 'close closed'])
    assert.equal(peer.stack.counters.tcpFlows, 0)
    assert.equal([...peer.stack.flows()].length, 0)
    peer.wait(900)
    peer.send('FA', { seq: 21, ack: 6 })
    peer.expect('A 6 ack 22')
    peer.wait(900)
    assert.equal(peer.flow.state, 'TIME-WAIT', 'a FIN that comes again starts 2 MSL anew')
    peer.wait(200)
    assert.equal(peer.flow.state, 'CLOSED')
    peer.send('A', { seq: 22, ack: 6 })
    peer.expect('R 6')
  })

  test('both at once: CLOSING, then TIME-WAIT', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.end()
    peer.expect('FA 1 ack 1')
    peer.send('FA', { seq: 1, ack: 1 })
    peer.expect('A 2 ack 2')
    assert.equal(peer.flow.state, 'CLOSING')
    assert.deepEqual(peer.events, ['end'])
    peer.send('A', { seq: 2, ack: 2 })
    assert.equal(peer.flow.state, 'TIME-WAIT')
    assert.deepEqual(peer.events, ['end', 'close closed'])
  })

  test('RST in LAST-ACK is an end, unless data is outstanding', () => {
    for (const [size, reason] of [
      [0, 'closed'],
      [10, 'reset'],
    ] as const) {
      const peer = new Peer()
      peer.open()
      peer.send('FA', { seq: 1, ack: 1 })
      peer.flow.send(pattern(size))
      peer.flow.end()
      peer.sent()
      assert.equal(peer.flow.state, 'LAST-ACK')
      peer.send('R', { seq: 2 })
      assert.deepEqual(peer.events, ['end', `close ${reason}`])
      assert.equal(peer.stack.counters.tcpFlows, 0)
    }
  })

  test('RST in TIME-WAIT is ignored (RFC 1337)', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.end()
    peer.expect('FA 1 ack 1')
    peer.send('FA', { seq: 1, ack: 2 })
    peer.send('R', { seq: 2 })
    assert.equal(peer.flow.state, 'TIME-WAIT')
  })

  test('FIN with the ACK of ours goes to TIME-WAIT at once', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.end()
    peer.expect('FA 1 ack 1')
    peer.send('FA', { seq: 1, ack: 2 })
    peer.expect('A 2 ack 2')
    assert.equal(peer.flow.state, 'TIME-WAIT')
  })

  test('a SYN above the old numbers ends TIME-WAIT, one below does not', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.end()
    peer.expect('FA 1 ack 1')
    peer.send('FA', { seq: 1, ack: 2 })
    peer.expect('A 2 ack 2')
    peer.wait(500)
    peer.send('S', { seq: -5000 })
    peer.expect('A 2 ack 2')
    const { flow } = peer
    peer.send('S', { seq: 90_000 })
    assert.notEqual(peer.flow, flow)
    assert.equal(flow.state, 'CLOSED')
    peer.flow.accept()
    const [answer] = peer.sent()
    assert.equal(answer.flags, 'SA')
    assert.ok(answer.seq > 2, 'its own number lies above the old ones too')
  })

  test('FIN waits for the data before it and is sent again when lost', () => {
    const peer = new Peer()
    peer.open({ mss: 1000, window: 1500 })
    peer.flow.send(pattern(1500))
    peer.flow.end()
    peer.expect('A 1+1000 ack 1', 'A 1001+500 ack 1') // FIN would lie outside the window
    peer.send('A', { seq: 1, ack: 1001, window: 1500 })
    peer.expect('FA 1501 ack 1')
    peer.wait(250)
    peer.expect('FA 1001+500 ack 1')
    peer.send('A', { seq: 1, ack: 1501, window: 1500 })
    peer.wait(250)
    peer.expect('FA 1501 ack 1')
    peer.send('A', { seq: 1, ack: 1502 })
    assert.equal(peer.flow.state, 'FIN-WAIT-2')
  })

  test('end is told only when all before it was taken, and so is the close', () => {
    const peer = new Peer()
    peer.open()
    peer.take = () => 0
    peer.flow.end()
    peer.expect('FA 1 ack 1')
    peer.send('FA', { seq: 1, ack: 2, data: 100 })
    assert.equal(peer.flow.state, 'TIME-WAIT')
    assert.deepEqual(peer.events, [])
    peer.wait(5000)
    assert.equal(peer.flow.state, 'CLOSED')
    assert.deepEqual(peer.events, [])
    peer.take = (offered) => offered
    peer.flow.resume()
    assert.deepEqual(peer.received, [...pattern(100)])
    assert.deepEqual(peer.events, ['end', 'close closed'])
  })

  test('nothing is sent after end, and calls on a closed flow do nothing', () => {
    const peer = new Peer()
    peer.open()
    peer.flow.end()
    peer.flow.send(pattern(5))
    peer.expect('FA 1 ack 1')
    peer.flow.reset()
    peer.expect('RA 2 ack 1')
    for (const call of ['accept', 'end', 'reset', 'resume'] as const) peer.flow[call]()
    peer.flow.send(pattern(5))
    peer.flow.reject('refused')
    peer.expect()
    assert.deepEqual(peer.events, ['close local-reset'])
  })

  test('a reset from within onData is the end', () => {
    const peer = new Peer()
    peer.open()
    peer.take = (offered) => {
      peer.flow.reset()
      return offered
    }
    peer.send('FA', { seq: 1, ack: 1, data: 10 })
    assert.deepEqual(peer.events, ['close local-reset'])
    assert.deepEqual(
      peer.sent().map(({ flags }) => flags),
      ['RA'],
    )
  })

  test('closing the stack resets every flow', () => {
    const peer = new Peer()
    peer.open()
    peer.send('S', { port: 5 })
    peer.stack.close()
    assert.deepEqual(peer.texts().sort(), ['RA 0 ack 1', 'RA 1 ack 1'])
    assert.deepEqual(peer.events, ['close local-reset', 'close local-reset'])
    assert.equal(peer.stack.nextDeadline(), Infinity)
  })
})

describe('RFC 5961', () => {
  test('RST counts with exactly the next sequence number, in the window it is challenged, outside it is nothing', () => {
    const peer = new Peer()
    peer.open()
    peer.send('R', { seq: 500_000 })
    peer.send('R', { seq: 0 })
    peer.expect()
    peer.now += 1000
    peer.send('R', { seq: 2 })
    peer.expect('A 1 ack 1')
    peer.send('R', { seq: 1 })
    assert.deepEqual(peer.events, ['close reset'])
  })

  test('SYN in a connection is challenged, whatever its number', () => {
    const peer = new Peer()
    peer.open()
    for (const seq of [1, 100, 900_000, -50]) {
      peer.now += 1000
      peer.send('S', { seq })
      peer.expect('A 1 ack 1')
    }
    assert.equal(peer.flow.state, 'ESTABLISHED')
  })

  test('an ACK of what was never sent, or too old, is challenged and its data dropped', () => {
    const peer = new Peer()
    peer.open()
    peer.now += 1000
    peer.send('A', { seq: 1, ack: 100, data: 5 })
    peer.expect('A 1 ack 1')
    peer.now += 1000
    peer.send('A', { seq: 1, ack: -70_000, data: 5 })
    peer.expect('A 1 ack 1')
    assert.deepEqual(peer.received, [])
  })

  test('challenges are limited in rate', () => {
    const peer = new Peer()
    peer.open()
    peer.now += 1000
    for (let i = 0; i < 100; i++) peer.send('S', { seq: i })
    assert.equal(peer.sent().length, 1)
  })

  test('a segment without ACK is dropped', () => {
    const peer = new Peer()
    peer.open()
    peer.send('', { seq: 1, data: 5 })
    peer.expect()
    assert.deepEqual(peer.received, [])
  })
})
