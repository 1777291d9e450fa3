import assert from 'node:assert/strict'
import { createStack, type Stack, type TcpFlow, type TcpFlowHandler, type UdpFlow } from '../../../src/stack/index.ts'
import { IpAddress } from '../../../src/wire/address.ts'
import { IpView } from '../../../src/wire/ip.ts'
import { VNET_HDR_LEN } from '../../../src/wire/vnet.ts'
import { cutSegments } from '../../stack/cut.ts'
import { ADDRESSES, assertIntact } from '../../stack/peer.ts'
import type { Area, Subject } from '../area.ts'
import { Act, makeFrames, STACK_ISS } from '../frames.ts'
import { readSteps } from '../steps.ts'

const LIMITS = { tcpFlows: 8, udpFlows: 4, receiveBytesPerFlow: 8192, receiveBytes: 16_384, reassemblyBytes: 8192 }
/** What an entry of a queue costs beside its bytes may go over a limit by one frame. */
const ONE_FRAME = 2 * 65_536
/** Where the DNS server would be. */
const OWN = IpAddress.parse('10.0.0.9')
/** Those whose packets are taken. */
const PEERS = [Buffer.from([10, 0, 0, 1]), Buffer.from(`fd${'0'.repeat(29)}1`, 'hex')]
/** Deadlines that one moment may have. */
const MOST_DEADLINES = 1000
/** Sockets of the stack's owner keep so much for the peer. */
const MOST_ANSWER = 4096

/** A flow as its owner sees it: nothing is told of it after its end, and nothing that it did not have. */
class Owned implements TcpFlowHandler {
  readonly flow: TcpFlow | UdpFlow
  closed = false
  takes = Number.POSITIVE_INFINITY

  constructor(flow: TcpFlow | UdpFlow) {
    this.flow = flow
    const sources: string[] = [ADDRESSES.peer.toString(), ADDRESSES.peer6.toString()]
    assert.ok(sources.includes(flow.remote.address.toString()), 'a flow from an address that may not have one')
  }

  #living(what: string): void {
    assert.ok(!this.closed, `${what} after the end of a flow`)
  }

  onData(buffer: Uint8Array, start: number, end: number): number {
    this.#living('data')
    assert.ok(0 <= start && start <= end && end <= buffer.length, 'data outside of its buffer')
    return Math.min(end - start, this.takes)
  }

  onDatagram(buffer: Uint8Array, start: number, end: number): void {
    this.onData(buffer, start, end)
  }

  onEnd(): void {
    this.#living('an end')
  }

  onAcked(bytes: number): void {
    this.#living('an acknowledgement')
    assert.ok(bytes > 0 && bytes <= this.sent, 'more was acknowledged than was sent')
    this.sent -= bytes
  }

  onClose(): void {
    this.#living('an end')
    this.closed = true
  }

  /** Bytes for the peer that it has not acknowledged. */
  sent = 0
}

/** One stack, the owner of its flows, and the checks of all that comes out. */
class World {
  readonly stack: Stack
  readonly owned: Owned[] = []
  now = 1000
  readonly #view = new IpView()

  constructor() {
    this.stack = createStack({
      mtu: 1500,
      gso: true,
      random: () => STACK_ISS,
      output: (buffer, offsets, lengths, count) => {
        for (let i = 0; i < count; i++) this.#leaves(buffer.slice(offsets[i], offsets[i] + lengths[i]))
      },
      ownAddresses: [OWN],
      sources: [ADDRESSES.peer, ADDRESSES.peer6],
      limits: LIMITS,
    })
    const own = <Flow extends TcpFlow | UdpFlow>(flow: Flow): Owned => {
      const owned = new Owned(flow)
      this.owned.push(owned)
      return owned
    }
    this.stack.setHandlers({ onTcp: own, onUdp: own, onEcho: (request) => request.reply() })
    this.stack.listenUdp({ address: OWN, port: 53 }, (buffer, start, end, reply) => reply(buffer.slice(start, end)))
    this.stack.listenTcp({ address: OWN, port: 53 }, (flow) => {
      flow.accept()
      return own(flow)
    })
  }

  /** Everything that leaves is a good packet for one of the addresses that may speak to us. */
  #leaves(frame: Uint8Array): void {
    for (const one of cutSegments(frame)) {
      assertIntact(one)
      assert.ok(one.length - VNET_HDR_LEN <= 1500, 'a packet longer than the MTU')
    }
    const view = this.#view
    assert.ok(view.parse(frame, VNET_HDR_LEN, frame.length))
    const to = Buffer.from(frame.subarray(view.destination, view.destination + view.addressLength))
    assert.ok(
      PEERS.some((peer) => peer.equals(to)),
      `a packet for ${to.toString('hex')}`,
    )
  }

  input(frame: Uint8Array, batch: boolean): void {
    const lengths = Uint32Array.of(frame.length, frame.length)
    this.stack.input(frame, Uint32Array.of(0, 0), lengths, batch ? 2 : 1, this.now)
    this.stack.flush(this.now)
  }

  /** Something that the owner of a flow does. */
  act(kind: number, body: Buffer): void {
    const owned = this.owned.at(-1 - (body[1] ?? 0))
    if (!owned || owned.closed) return
    const { flow } = owned
    if (flow.protocol === 'udp') {
      if (kind === Act.send) flow.send(body.subarray(0, 1400))
      else if (kind === Act.reset) flow.close()
      else if (kind === Act.reject) flow.reject('refused')
      return
    }
    if (kind === Act.accept) flow.accept()
    else if (kind === Act.reject) flow.reject((['refused', 'silence', 'prohibited'] as const)[(body[0] ?? 0) % 3])
    else if (kind === Act.send) {
      // Before it has accepted, an owner has nobody to send to.
      if (!['ESTABLISHED', 'CLOSE-WAIT'].includes(flow.state) || owned.sent > MOST_ANSWER) return
      const chunk = Buffer.alloc(1 + (body[0] ?? 0) * 16, 7)
      owned.sent += chunk.length
      flow.send(chunk)
    } else if (kind === Act.end) flow.end()
    else if (kind === Act.reset) flow.reset()
    else if (kind === Act.take) {
      const [much] = body
      owned.takes = much < 100 ? 0 : much < 160 ? much : Number.POSITIVE_INFINITY
      flow.resume()
    }
  }

  /** Lets `ms` pass, with every deadline in it. */
  wait(ms: number): void {
    const until = this.now + ms
    let here = 0
    for (let next = this.stack.nextDeadline(); next <= until; next = this.stack.nextDeadline()) {
      here = next > this.now ? 0 : here + 1
      assert.ok(here < MOST_DEADLINES, `the deadline ${next} comes again and again`)
      this.now = Math.max(this.now, next)
      this.stack.tick(this.now)
    }
    this.now = until
  }

  check(): void {
    const { counters } = this.stack
    const live = [...this.stack.flows()]
    assert.ok(live.length <= LIMITS.tcpFlows + LIMITS.udpFlows, `${live.length} flows`)
    assert.equal(counters.tcpFlows, live.filter(({ protocol }) => protocol === 'tcp').length)
    assert.equal(counters.udpFlows, live.filter(({ protocol }) => protocol === 'udp').length)
    assert.ok(this.held >= 0 && this.held <= LIMITS.receiveBytes + ONE_FRAME, `${this.held} bytes are held`)
    assert.ok(!Number.isNaN(this.stack.nextDeadline()))
  }

  /** What is counted for bytes that nobody took: of no use to anybody but a test that looks for leaks. */
  get held(): number {
    return (this.stack as unknown as { core: { receiveHeld: number } }).core.receiveHeld
  }

  end(): void {
    this.stack.close()
    assert.deepEqual([...this.stack.flows()], [])
    assert.equal(this.held, 0, 'bytes are held for flows that are gone')
    assert.ok(
      this.owned.every(({ closed }) => closed),
      'the owner of a flow was not told of its end',
    )
  }
}

function start(): Subject {
  return {
    attempt(input) {
      const world = new World()
      for (const { kind, body } of readSteps(input)) {
        if (kind === Act.frame || kind === Act.twice) world.input(new Uint8Array(body), kind === Act.twice)
        else if (kind === Act.wait) world.wait(((body[0] ?? 0) << 8) | (body[1] ?? 0))
        else world.act(kind, body)
        world.stack.flush(world.now)
        world.check()
      }
      world.end()
    },
  }
}

export default {
  about: 'IP, TCP, UDP and ICMP into the stack: limits hold, what leaves is whole, flows end once and hold nothing',
  make: makeFrames,
  start,
} satisfies Area
