// A coarse guard of speed for machines of any speed: work against a yardstick in the same process, by turns, the best of many
// short rounds of each. Throughput that falls by a third fails; noise does not, since it does not last for all attempts.
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { pureAcks, type Work, writes } from '../../bench/stack-works.ts'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import type { Tunnel, TunnelStream } from '../../src/tunnel/tunnel.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { startAgent } from '../tunnel/shadows.ts'

/** Passes as soon as one of so many attempts stays below the limit. */
async function holds(
  what: string,
  limit: number,
  attempts: number,
  attempt: () => number | Promise<number>,
): Promise<void> {
  const seen: string[] = []
  for (let i = 0; i < attempts; i++) {
    const ratio = await attempt()
    if (ratio < limit) return
    seen.push(ratio.toFixed(2))
  }
  assert.fail(`${what} takes ${seen.join(', ')} times its yardstick; below ${limit} is expected`)
}

/** What a packet cannot do without: its bytes copied, the sum over a header, a table asked. */
function yardstick(size: number): Work {
  const packets = 4096
  const source = new Uint8Array(size + 40).map((_, i) => i)
  const target = new Uint8Array(1 << 20)
  const flows = new Map(Array.from({ length: 64 }, (_, i) => [i * 7919, { bytes: 0 }]))
  return () => {
    let at = 0
    for (let i = 0; i < packets; i++) {
      if (at + source.length > target.length) at = 0
      target.set(source, at)
      let sum = 0
      for (let k = at; k < at + 40; k += 2) sum += (target[k] << 8) | target[k + 1]
      flows.get((i & 63) * 7919)!.bytes += sum & 0xffff
      at += source.length
    }
    return { packets, bytes: packets * size, units: packets }
  }
}

/**
 * Time a packet as a multiple of the yardstick's, of the best rounds so far. A round is shorter than what a scheduler gives
 * at a time.
 */
function packetRatio(work: Work, plain: Work): () => number {
  const micros = (one: Work) => {
    const began = performance.now()
    const { packets } = one()
    return (performance.now() - began) / packets
  }
  let best = Number.POSITIVE_INFINITY
  let bestPlain = Number.POSITIVE_INFINITY
  return () => {
    for (let i = 0; i < 160; i++) {
      best = Math.min(best, micros(work))
      bestPlain = Math.min(bestPlain, micros(plain))
    }
    return best / bestPlain
  }
}

test('a segment with its ACK, through two stacks', async () => {
  await holds('a packet', 12.5, 20, packetRatio(writes(16, 1000), yardstick(1000))) // 7.6 to 9.8 measured
})

test('a pure ACK', async () => {
  await holds('a pure ACK', 4.8, 20, packetRatio(pureAcks(), yardstick(40))) // 2.4 to 3.5 measured
})

const MEGABYTES = 4
const block = Buffer.alloc(128 * 1024, 'kt')

/** A listener on loopback; returns it and its port. */
async function listen(serve: (socket: Socket) => void): Promise<[Server, number]> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return [server, (server.address() as AddressInfo).port]
}

/** Milliseconds until the far side has answered that all has come. */
async function throughRelay(port: number): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const began = performance.now()
  let left = (MEGABYTES << 20) / block.length
  const push = () => {
    while (left > 0) {
      left--
      if (!socket.write(block)) return
    }
    socket.end()
  }
  socket.on('drain', push)
  push()
  socket.resume()
  await once(socket, 'end')
  return performance.now() - began
}

/** Milliseconds for the bytes sealed and opened by node:crypto in packets as SSH has them: what the relay does not do. */
function sealAndOpen(): number {
  const packet = block.subarray(0, 32 * 1024)
  const key = createSecretKey(Buffer.alloc(16, 1))
  const nonce = Buffer.alloc(12, 2)
  const began = performance.now()
  for (let left = MEGABYTES << 20; left > 0; left -= packet.length) {
    const seal = createCipheriv('aes-128-gcm', key, nonce)
    const sealed = seal.update(packet)
    seal.final()
    const open = createDecipheriv('aes-128-gcm', key, nonce)
    open.setAuthTag(seal.getAuthTag())
    open.update(sealed)
    open.final()
  }
  return performance.now() - began
}

function throughTunnel(tunnel: Tunnel, port: number): Promise<number> {
  const address = IpAddress.parse('127.0.0.1')
  return new Promise((resolve, reject) => {
    let began = 0
    let left = MEGABYTES << 20
    const push = () => {
      while (left > 0) {
        const wanted = Math.min(block.length, left)
        const taken = stream.write(block, 0, wanted)
        left -= taken
        if (taken < wanted) return
      }
      stream.end()
    }
    const stream: TunnelStream = tunnel.openStream(
      { address, port },
      { address, port: 1 },
      {
        returnsChunks: true,
        onOpen() {
          began = performance.now()
          push()
        },
        onFail: (_reason, message) => reject(new Error(message)),
        onData: (chunk) => stream.consumed(chunk.length),
        onEnd: () => resolve(performance.now() - began),
        onDrain: push,
        onClose() {},
      },
    )
  })
}

test('bytes through the tunnel, against a plain relay and the bare ciphers', async () => {
  const [sink, sinkPort] = await listen((socket) => socket.resume())
  const [relay, relayPort] = await listen((socket) => {
    const onward = connect(sinkPort, '127.0.0.1')
    onward.on('error', () => socket.destroy())
    socket.pipe(onward).pipe(socket)
  })
  const shadow = await startAgent()
  const tunnel = await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })
  try {
    let best = Number.POSITIVE_INFINITY
    let bestRelay = Number.POSITIVE_INFINITY
    let bestCrypto = Number.POSITIVE_INFINITY
    // 0.75 to 0.9 measured on a machine at rest; under load it takes a few attempts to come near. Half the speed fails.
    await holds('a byte', 1.5, 15, async () => {
      for (let i = 0; i < 25; i++) {
        best = Math.min(best, await throughTunnel(tunnel, sinkPort))
        bestRelay = Math.min(bestRelay, await throughRelay(relayPort))
        bestCrypto = Math.min(bestCrypto, sealAndOpen())
      }
      return best / (bestRelay + bestCrypto)
    })
  } finally {
    await tunnel.close()
    await shadow.stop()
    relay.close()
    sink.close()
  }
})
