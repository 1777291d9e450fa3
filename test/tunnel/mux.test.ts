// The mux without a connection: the messages of the far side are calls here, and what it sends goes nowhere.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Channel, type ChannelHandler, deaf } from '../../src/tunnel/ssh/channel.ts'
import { ChannelMux, RESET_REQUEST } from '../../src/tunnel/ssh/mux.ts'
import { MAX_OWN_DATA } from '../../src/tunnel/ssh/packet-shape.ts'
import { TRANSPORT_LIMIT } from '../../src/tunnel/ssh/sending-turns.ts'
import { INITIAL_WINDOW, WindowBudget } from '../../src/tunnel/ssh/window.ts'
import type { Transport } from '../../src/tunnel/transport/transport.ts'

const messages = ['OPEN', 'OPEN_CONFIRMATION', 'OPEN_FAILURE', 'DATA', 'WINDOW_ADJUST', 'EOF', 'CLOSE', 'REQUEST']
/** What ssh2 has inside, as it is once the connection is gone: nothing is sent. */
const connection = () => ({
  _protocol: {
    _handlers: Object.fromEntries(messages.map((name) => [`CHANNEL_${name}`, () => {}])),
    _packetRW: { write: { alloc() {}, allocStart: 0 } },
    _cipher: { encrypt() {}, allocPacket() {} },
    _decipher: {},
  },
})

const nowhere = (): Transport => ({
  start() {},
  reserve: (length) => Buffer.alloc(length),
  write() {},
  unhurried: (write) => write(),
  buffered: 0,
  onDrain() {},
  end() {},
  destroy() {},
})

function bench() {
  const clock = { now: 0 }
  const budget = new WindowBudget({ now: () => clock.now, after: () => () => {} })
  const mux = new ChannelMux(connection(), nowhere(), budget, MAX_OWN_DATA)
  const events: string[] = []
  const handler: ChannelHandler = {
    ...deaf,
    onEnd: () => void events.push('end'),
    onClose: (how) => void events.push(`close ${how}`),
  }
  const open = (): Channel => {
    const channel = mux.openChannel('direct-tcpip', handler)
    mux.onConfirmed({ recipient: channel.id, sender: 7, window: 1 << 20, packetSize: MAX_OWN_DATA })
    return channel
  }
  return { clock, budget, mux, events, open }
}

describe('the end of a channel', () => {
  it('is clean when both directions ended with EOF', () => {
    const { mux, events, open } = bench()
    const channel = open()
    channel.end()
    mux.onEof(channel.id)
    mux.onClosed(channel.id)
    assert.deepEqual(events, ['end', 'close clean'])
  })

  it('is a reset when the far side tells of one, though both directions have ended', () => {
    const { mux, events, open } = bench()
    const channel = open()
    channel.end()
    mux.onEof(channel.id)
    mux.onRequest(channel.id, RESET_REQUEST, false)
    mux.onClosed(channel.id)
    assert.deepEqual(events, ['end', 'close reset'])
  })

  it('is a reset when one direction has not ended', () => {
    for (const ended of ['ours', 'theirs']) {
      const { mux, events, open } = bench()
      const channel = open()
      if (ended === 'ours') channel.end()
      else mux.onEof(channel.id)
      mux.onClosed(channel.id)
      assert.equal(events.at(-1), 'close reset')
    }
  })
})

describe('the budget of the windows', () => {
  /** Consumes as a fast program does, until the window has grown. */
  function grow({ clock, open }: ReturnType<typeof bench>): Channel {
    const channel = open()
    while (channel.window.size === INITIAL_WINDOW) {
      clock.now++
      channel.consumed(INITIAL_WINDOW / 4)
    }
    return channel
  }

  it('has all again when a channel ends, however it does', () => {
    const all = bench()
    const { budget, mux } = all
    const { left } = budget
    const ends: ((channel: Channel) => void)[] = [
      (channel) => void mux.onClosed(channel.id),
      (channel) => {
        channel.abandon()
        mux.onClosed(channel.id)
      },
      () => mux.lose(),
    ]
    for (const end of ends) {
      const channel = grow(all)
      assert.ok(budget.left < left)
      end(channel)
      assert.equal(budget.left, left)
    }
  })
})

describe('a channel whose owner throws', () => {
  it('keeps no other channel from sending, then or later, and the error is told', () => {
    const transport = Object.assign(nowhere(), { buffered: TRANSPORT_LIMIT })
    const budget = new WindowBudget({ now: () => 0, after: () => () => {} })
    const mux = new ChannelMux(connection(), transport, budget, MAX_OWN_DATA)
    let drained = 0
    const waiting = (onDrain: () => void) => {
      const channel = mux.openChannel('direct-tcpip', { ...deaf, onDrain })
      mux.onConfirmed({ recipient: channel.id, sender: 7, window: 1 << 20, packetSize: MAX_OWN_DATA })
      while (channel.write(Buffer.alloc(8192), 0, 8192) > 0);
      return channel
    }
    waiting(() => {
      throw new TypeError('a mistake')
    })
    waiting(() => drained++)
    transport.buffered = 0
    assert.throws(() => transport.onDrain(), /a mistake/)
    assert.equal(drained, 1)
    transport.buffered = TRANSPORT_LIMIT
    waiting(() => drained++)
    transport.buffered = 0
    transport.onDrain()
    assert.equal(drained, 2)
  })
})
