// The relay of one flow between the stack, whose other side the test plays, and a tunnel that the test plays too.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { relayTcp } from '../../src/daemon/relay.ts'
import type { StreamHandler, Tunnel, TunnelStream } from '../../src/tunnel/tunnel.ts'
import { Peer, pattern } from '../stack/peer.ts'

/** What was asked of the tunnel, and the handler of its last stream. */
class FakeTunnel {
  readonly asked: string[] = []
  handler!: StreamHandler
  /** Bytes that a stream takes until it is full. */
  room = Number.POSITIVE_INFINITY
  written: number[] = []

  openStream(_target: unknown, _origin: unknown, handler: StreamHandler): TunnelStream {
    this.asked.push('open')
    this.handler = handler
    return {
      write: (buffer, start, end) => {
        const taken = Math.min(end - start, this.room)
        this.room -= taken
        this.written.push(...buffer.subarray(start, start + taken))
        return taken
      },
      end: () => void this.asked.push('end'),
      reset: () => void this.asked.push('reset'),
      consumed: (bytes) => void this.asked.push(`consumed ${bytes}`),
    }
  }
}

/** A program that has sent a SYN. `connect` is the line coming back, with a tunnel. */
function bench(first?: FakeTunnel) {
  const peer = new Peer()
  let now = first
  const waiting = new Set<() => void>()
  const over: string[] = []
  const sent: string[] = []
  peer.onTcp = (flow) =>
    relayTcp(flow, {
      tunnel: () => now as Tunnel | undefined,
      whenConnected(callback) {
        waiting.add(callback)
        return () => waiting.delete(callback)
      },
      wake() {},
      sent: () => void sent.push('sent'),
      over: (flow, how) => void over.push(`${how} ${flow.bytesSent} ${flow.bytesReceived}`),
    })
  const connect = (tunnel: FakeTunnel) => {
    now = tunnel
    for (const callback of [...waiting]) {
      waiting.delete(callback)
      callback()
    }
  }
  peer.send('S', { mss: 1000 })
  return { peer, connect, waiting, over, sent }
}

/** A flow that is open. */
function opened() {
  const tunnel = new FakeTunnel()
  const all = bench(tunnel)
  tunnel.handler.onOpen()
  all.peer.expect('SA 0 ack 1')
  all.peer.send('A', { seq: 1, ack: 1 })
  tunnel.asked.length = 0
  return { ...all, tunnel }
}

test('each time a program sends something it is told, and an acknowledgement is not', () => {
  const { peer, tunnel, sent } = opened()
  tunnel.handler.onData(Buffer.from('from the cluster'))
  peer.send('A', { seq: 1, ack: 1 })
  assert.deepEqual(sent, [])
  peer.send('A', { seq: 1, ack: 1, data: 1 })
  assert.deepEqual(sent, ['sent'])
})

describe('a flow that is over is told, once', () => {
  test('with why it could not be opened', () => {
    const tunnel = new FakeTunnel()
    const { over } = bench(tunnel)
    tunnel.handler.onFail('refused', 'nobody listens')
    assert.deepEqual(over, ['refused 0 0'])
  })

  test('but not while a lost tunnel is waited for', () => {
    const tunnel = new FakeTunnel()
    const { over } = bench(tunnel)
    tunnel.handler.onFail('lost', 'the line broke')
    assert.deepEqual(over, [])
  })

  test('with what it carried, when either side resets it', () => {
    const { peer, tunnel, over } = opened()
    peer.send('A', { seq: 1, ack: 1, data: pattern(5) })
    tunnel.handler.onClose('reset')
    assert.deepEqual(over, ['local-reset 0 5'])
  })
})

describe('while the tunnel is lost', () => {
  test('a SYN is kept, and dialled when there is a tunnel', () => {
    const { peer, connect } = bench()
    peer.wait(5000)
    peer.expect()
    const tunnel = new FakeTunnel()
    connect(tunnel)
    assert.deepEqual(tunnel.asked, ['open'])
    tunnel.handler.onOpen()
    peer.expect('SA 0 ack 1')
  })

  test('a SYN whose dial the tunnel has lost is dialled by the next one, and not again by the dead one', () => {
    const dead = new FakeTunnel()
    const { peer, connect } = bench(dead)
    dead.handler.onFail('lost', 'the line broke')
    peer.expect()
    assert.deepEqual(dead.asked, ['open'])
    const next = new FakeTunnel()
    connect(next)
    next.handler.onOpen()
    peer.expect('SA 0 ack 1')
    peer.send('A', { seq: 1, ack: 1, data: 5 })
    assert.deepEqual(next.written, [...pattern(5)])
  })

  test('a program that gives up is not dialled for', () => {
    const { peer, connect, waiting } = bench()
    peer.send('R', { seq: 1 })
    assert.equal(waiting.size, 0)
    const tunnel = new FakeTunnel()
    connect(tunnel)
    assert.deepEqual(tunnel.asked, [])
  })

  test('an open flow is reset', () => {
    const { peer, tunnel } = opened()
    tunnel.handler.onClose('lost')
    peer.expect('RA 1 ack 1')
    assert.deepEqual(tunnel.asked, [])
  })
})

describe('how a dial fails is what the program sees', () => {
  test('refused', () => {
    const tunnel = new FakeTunnel()
    const { peer } = bench(tunnel)
    tunnel.handler.onFail('refused', 'ECONNREFUSED')
    peer.expect('RA 0 ack 1')
    assert.equal(peer.stack.counters.tcpFlows, 0)
  })

  test('a time-out is silence', () => {
    const tunnel = new FakeTunnel()
    const { peer } = bench(tunnel)
    tunnel.handler.onFail('timeout', 'ETIMEDOUT')
    peer.expect()
  })
})

describe('resets', () => {
  test('that of the program is passed on', () => {
    const { peer, tunnel } = opened()
    peer.send('R', { seq: 1 })
    assert.deepEqual(tunnel.asked, ['reset'])
  })

  test('that of the program while it is dialled is passed on, and the answer comes to nobody', () => {
    const tunnel = new FakeTunnel()
    const { peer } = bench(tunnel)
    peer.send('R', { seq: 1 })
    assert.deepEqual(tunnel.asked, ['open', 'reset'])
    tunnel.handler.onOpen()
    peer.expect()
  })

  test('that of the far side is passed on, and not told back to it', () => {
    const { peer, tunnel } = opened()
    tunnel.handler.onClose('reset')
    peer.expect('RA 1 ack 1')
    assert.deepEqual(tunnel.asked, [])
  })

  test('an end in both directions is none', () => {
    const { peer, tunnel } = opened()
    peer.send('FA', { seq: 1, ack: 1 })
    peer.expect('A 1 ack 2')
    tunnel.handler.onEnd()
    peer.expect('FA 1 ack 2')
    tunnel.handler.onClose('closed')
    peer.send('A', { seq: 2, ack: 2 })
    peer.expect()
    assert.deepEqual(tunnel.asked, ['end'])
  })
})

describe('credit', () => {
  test('the far side gets it for what the program has acknowledged, not for what was sent', () => {
    const { peer, tunnel } = opened()
    tunnel.handler.onData(pattern(1500))
    peer.expect('A 1+1000 ack 1', 'A 1001+500 ack 1')
    assert.deepEqual(tunnel.asked, [])
    peer.send('A', { seq: 1, ack: 1001 })
    peer.send('A', { seq: 1, ack: 1501 })
    assert.deepEqual(tunnel.asked, ['consumed 1000', 'consumed 500'])
  })

  test('none is given to a stream that is over', () => {
    const { peer, tunnel } = opened()
    tunnel.handler.onData(pattern(500))
    tunnel.handler.onEnd()
    peer.sent()
    tunnel.handler.onClose('closed')
    peer.send('A', { seq: 1, ack: 501 })
    assert.deepEqual(tunnel.asked, [])
  })

  test('what the tunnel does not take waits, and goes on when it takes more', () => {
    const { peer, tunnel } = opened()
    tunnel.room = 300
    peer.send('A', { seq: 1, ack: 1, data: 1000 })
    assert.equal(tunnel.written.length, 300)
    tunnel.room = Number.POSITIVE_INFINITY
    tunnel.handler.onDrain()
    assert.deepEqual(tunnel.written, [...pattern(1000)])
  })
})
