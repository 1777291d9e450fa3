import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Peer, pattern } from './peer.ts'

describe('receiving', () => {
  test('ACKs coalesce until flush, and ride on data', () => {
    const peer = new Peer()
    peer.open()
    peer.send('A', { seq: 1, ack: 1, data: 100 })
    peer.expect('A 1 ack 101')
    peer.flow.send(pattern(7))
    peer.send('A', { seq: 101, ack: 1, data: 100 })
    peer.expect('A 1+7 ack 201')
    assert.deepEqual(peer.received, [...pattern(200)])
  })

  test('what lies before the window is cut off, what lies behind it too', () => {
    const peer = new Peer({ limits: { receiveBytesPerFlow: 1000 } })
    peer.open({ mss: 1460 })
    peer.send('A', { seq: 1, ack: 1, data: 100 })
    peer.take = () => 0
    peer.send('A', { seq: 51, ack: 1, data: 1400 })
    // A hundred bytes more would be a silly window: the edge stays where the SYN-ACK put it.
    assert.deepEqual(peer.texts().at(-1), 'A 1 ack 1001')
    peer.take = (offered) => offered
    peer.flow.resume()
    assert.deepEqual(peer.received, [...pattern(1000)])
  })

  test('a FIN behind the edge of the window is cut off with the data before it, and counts when it comes again', () => {
    const peer = new Peer({ limits: { receiveBytesPerFlow: 1000 } })
    peer.open({ mss: 1460 })
    peer.send('FA', { seq: 1, ack: 1, data: 1200 })
    peer.expect('A 1 ack 1001')
    assert.deepEqual([peer.received.length, peer.flow.state, peer.events], [1000, 'ESTABLISHED', []])
    peer.send('FA', { seq: 1001, ack: 1, data: pattern(200, 1000) })
    peer.expect('A 1 ack 1202')
    assert.deepEqual(peer.events, ['end'])
    assert.deepEqual(peer.received, [...pattern(1200)])
  })

  test('segments behind a gap are kept, acknowledged at once with SACK, and delivered in order', () => {
    const peer = new Peer()
    peer.open()
    peer.send('A', { seq: 201, ack: 1, data: 100 })
    const [first] = peer.sent()
    assert.equal(first.text, 'A 1 ack 1')
    assert.deepEqual(
      [...first.options.sack.subarray(0, 2)].map((edge) => edge + 20),
      [201, 301],
    )
    peer.send('A', { seq: 401, ack: 1, data: 100 })
    const [second] = peer.sent()
    assert.equal(second.options.sackCount, 2)
    assert.deepEqual(
      [...second.options.sack.subarray(0, 4)].map((edge) => edge + 20),
      [401, 501, 201, 301],
      'newest first',
    )
    peer.send('A', { seq: 301, ack: 1, data: 100 })
    const [third] = peer.sent()
    assert.deepEqual(
      [...third.options.sack.subarray(0, 2)].map((edge) => edge + 20),
      [201, 501],
      'joined',
    )
    assert.deepEqual(peer.received, [])
    peer.send('A', { seq: 1, ack: 1, data: 200 })
    peer.expect('A 1 ack 501')
    assert.deepEqual(peer.received, [...pattern(500)])
  })

  test('overlapping segments deliver every byte once', () => {
    const peer = new Peer()
    peer.open()
    for (const [seq, data] of [
      [101, 50],
      [121, 100],
      [91, 200],
      [301, 10],
      [281, 60],
      [1, 95],
      [50, 60],
    ]) {
      peer.send('A', { seq, ack: 1, data })
    }
    assert.deepEqual(peer.received, [...pattern(340)])
  })

  test('FIN behind a gap waits for the gap', () => {
    const peer = new Peer()
    peer.open()
    peer.send('FA', { seq: 51, ack: 1, data: 50 })
    assert.deepEqual(peer.events, [])
    peer.send('A', { seq: 1, ack: 1, data: 50 })
    assert.deepEqual(peer.received, [...pattern(100)])
    assert.deepEqual(peer.events, ['end'])
    assert.equal(peer.texts().at(-1), 'A 1 ack 102')
  })

  test('what the owner does not take closes the window; resume opens it and says so', () => {
    const peer = new Peer({ limits: { receiveBytesPerFlow: 10_000 } })
    peer.open()
    peer.take = () => 0
    for (let seq = 1; seq < 10_001; seq += 1000) peer.send('A', { seq, ack: 1, data: 1000 })
    const last = peer.sent().at(-1)
    assert.equal(last?.text, 'A 1 ack 10001')
    assert.equal(last?.window, 0)
    peer.send('A', { seq: 10_001, ack: 1, data: 1 })
    peer.expect('A 1 ack 10001') // a probe is answered, its byte not taken
    peer.take = (offered) => Math.min(offered, 100)
    peer.flow.resume()
    peer.expect() // 100 bytes are not worth a segment
    peer.take = (offered) => offered
    peer.flow.resume()
    const [update] = peer.sent()
    assert.equal(update.window, 10_000)
    assert.deepEqual(peer.received, [...pattern(10_000)])
  })

  test('a part taken is told apart from a part held', () => {
    const peer = new Peer()
    peer.open()
    let budget = 30
    peer.take = (offered) => {
      const taken = Math.min(offered, budget)
      budget -= taken
      return taken
    }
    for (let seq = 1; seq < 200; seq += 20) peer.send('A', { seq, ack: 1, data: 20 })
    assert.equal(peer.received.length, 30)
    budget = 50
    peer.flow.resume()
    assert.equal(peer.received.length, 80)
    budget = 1000
    peer.flow.resume()
    assert.deepEqual(peer.received, [...pattern(200)])
  })

  test('the right edge of the window never goes back', () => {
    const peer = new Peer({ limits: { receiveBytesPerFlow: 1 << 20 } })
    peer.open({ mss: 1460, scale: 7, window: 1000 })
    let edge = 0
    let seq = 1
    peer.take = (offered) => (seq % 3 === 0 ? 0 : offered >> 1)
    for (let i = 0; i < 400; i++) {
      const size = 1 + ((i * 37) % 1400)
      peer.send('A', { seq, ack: 1, data: size })
      seq += size
      for (const { ack, window } of peer.sent()) {
        const right = ack + (window << 5)
        assert.ok(right >= edge, `${right} after ${edge}`)
        edge = right
      }
      if (i % 50 === 49) peer.flow.resume()
    }
  })

  test('the window grows while the owner keeps up, to what a flow may hold', () => {
    const peer = new Peer()
    peer.open({ mss: 1460, scale: 7 })
    let seq = 1
    let window = 0
    for (let i = 0; i < 4000; i++) {
      peer.send('A', { seq, ack: 1, data: 1460 })
      seq += 1460
      window = peer.sent()[0].window << 5
    }
    assert.equal(window, 1 << 20)
  })

  test('no window grows while the flows hold a quarter of what all may', () => {
    const peer = new Peer({ limits: { receiveBytes: 1 << 20 } })
    const open = (port: number) => {
      peer.send('S', { port, mss: 1460, scale: 7 })
      peer.flow.accept()
      peer.stack.flush(0)
      peer.send('A', { port, seq: 1, ack: 1 })
    }
    const feed = (port: number, segments: number) => {
      let window = 0
      for (let i = 0; i < segments; i++) {
        peer.send('A', { port, seq: 1 + i * 1460, ack: 1, data: 1460 })
        window = peer.sent().at(-1)?.window ?? 0
      }
      return window << 5
    }
    open(1)
    const idle = peer.flow
    peer.take = () => 0
    for (let port = 2; port <= 9; port++) {
      open(port)
      feed(port, 30)
    }
    peer.take = (offered) => offered
    const held = 8 * 30 * 1460
    assert.ok(held > (1 << 20) / 4)
    assert.equal(feed(1, 300), 256 * 1024, 'as it was at the start')
    assert.equal(idle.state, 'ESTABLISHED')
  })
})

describe('memory', () => {
  test('all flows together hold no more than the budget, and what was refused can come again', () => {
    const budget = 256 * 1024
    const peer = new Peer({ limits: { receiveBytes: budget, receiveBytesPerFlow: 65536 } })
    peer.take = () => 0
    const flows = []
    for (let port = 1; port <= 40; port++) {
      peer.send('S', { port, mss: 1460 })
      flows.push(peer.flow)
      peer.flow.accept()
      peer.stack.flush(0)
      peer.send('A', { port, seq: 1, ack: 1 })
    }
    const acked = new Map<number, number>()
    for (let seq = 1; seq < 60_000; seq += 1000) {
      for (let port = 1; port <= 40; port++) {
        peer.frames = []
        peer.send('A', { port, seq, ack: 1, data: 1000 })
        const [answer] = peer.sent()
        if (answer) acked.set(port, Math.max(answer.ack - 1, acked.get(port) ?? 0))
      }
    }
    const held = [...acked.values()].reduce((sum, bytes) => sum + bytes, 0)
    assert.ok(held > budget / 2 && held <= budget, `${held} bytes acknowledged and held`)
    for (const flow of flows) flow.reset()
    peer.take = (offered) => offered
    peer.send('S', { port: 99, mss: 1460 })
    peer.flow.accept()
    peer.stack.flush(0)
    peer.send('A', { port: 99, seq: 1, ack: 1, data: 1000 })
    assert.equal(peer.received.length, 1000)
  })

  test('segments behind a gap are bounded too', () => {
    const peer = new Peer({ limits: { receiveBytes: 100_000 } })
    peer.open()
    for (let i = 0; i < 5000; i++) peer.send('A', { seq: 3 + 2 * i, ack: 1, data: 1 })
    assert.ok(peer.stack.counters.dropped > 4000)
    peer.sent()
    peer.send('A', { seq: 1, ack: 1, data: 20_000 })
    peer.expect('A 1 ack 20001')
    assert.deepEqual(peer.received, [...pattern(20_000)])
  })
})
