// Each tunnel through the compliance suite, and what is particular to those over SSH.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { connectTunnel, LineClient, openTcp, TunnelError } from '../../src/tunnel/index.ts'
import { dialPath } from '../../src/tunnel/transport/tcp.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { createLoopbackTunnel } from '../support/loopback-tunnel.ts'
import { Probe, type Subject, tunnelCompliance } from './compliance.ts'
import { cuttingProxy } from './cutting-proxy.ts'
import { type Shadow, sshdMissing, startAgent, startSshd } from './shadows.ts'

async function overSsh(start: () => Promise<Shadow>): Promise<Subject> {
  const shadow = await start()
  const transport = await openTcp('127.0.0.1', shadow.port)
  const tunnel = await connectTunnel({ ...shadow, transport })
  return {
    tunnel,
    cut: () => transport.destroy(new Error('cut by the test')),
    farConnections: () => shadow.relays(),
    stop: () => shadow.stop(),
  }
}

/** The agent over a line, whose every path goes through `port`: the agent's own, or a proxy's before it. */
async function overLine(shadow: Shadow, port = shadow.port) {
  const line = await LineClient.open(
    {
      clock: systemClock,
      wall: Date.now,
      random: randomBytes,
      dial: () => dialPath('127.0.0.1', port),
      isAlive: async () => true,
      log: () => {},
    },
    new AbortController().signal,
  )
  return { line, tunnel: await connectTunnel({ ...shadow, transport: line.transport, line }) }
}

async function lineSubject(): Promise<Subject> {
  const shadow = await startAgent({ lineWaitMs: 200 })
  const { line, tunnel } = await overLine(shadow)
  return {
    tunnel,
    cut: () => line.transport.destroy(new Error('cut by the test')),
    farConnections: () => shadow.relays(),
    stop: () => shadow.stop(),
  }
}

tunnelCompliance('agent over a line', lineSubject, { udp: true, resets: true })
tunnelCompliance('agent', () => overSsh(startAgent), { udp: true, resets: true })
tunnelCompliance('sshd', () => overSsh(startSshd), { udp: false, resets: false }, sshdMissing())
tunnelCompliance(
  'loopback',
  async () => {
    const tunnel = createLoopbackTunnel()
    return { tunnel, cut: () => tunnel.lose('cut by the test'), farConnections: () => 0, stop: async () => {} }
  },
  { udp: true, resets: true },
)

describe('a tunnel over a line', () => {
  it('keeps its connections and every byte while its TCP connection is cut again and again', async () => {
    const shadow = await startAgent()
    const proxy = await cuttingProxy(shadow.port)
    const { tunnel } = await overLine(shadow, proxy.port)
    const size = 40_000_000
    const body = randomBytes(size)
    const wanted = createHash('sha256').update(body).digest('hex')
    const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(echo, 'listening')
    const probe = new Probe(tunnel, {
      address: IpAddress.parse('127.0.0.1'),
      port: (echo.address() as AddressInfo).port,
    })
    // By what has come, not by time: the faster the machine, the sooner the next cut.
    let next = size / 8
    const cuts = setInterval(() => {
      if (probe.received < next) return
      next = probe.received + size / 8
      proxy.cut()
    }, 5)
    try {
      await probe.until(() => probe.events.includes('open'))
      await probe.send(body)
      probe.stream.end()
      await probe.until(() => probe.received === size && probe.events.includes('end'))
      assert.equal(probe.hash.digest('hex'), wanted)
      assert.ok(tunnel.line!.report.resumptions >= 3, `${tunnel.line!.report.resumptions} resumptions`)
    } finally {
      clearInterval(cuts)
      await tunnel.close()
      proxy.close()
      echo.close()
      await shadow.stop()
    }
  })

  it('is not ended by the agent because its client is silent; a plain session is', async () => {
    const intervals: number[] = []
    const { setInterval } = globalThis
    globalThis.setInterval = ((fire: () => void, ms: number) => {
      intervals.push(ms)
      return setInterval(fire, ms)
    }) as typeof setInterval
    const shadow = await startAgent()
    try {
      const { tunnel } = await overLine(shadow)
      const day = 24 * 3_600_000
      const watched = () => intervals.splice(0).filter((ms) => ms === 15_000 || ms > day)
      assert.deepEqual(watched(), [2 ** 31 - 1])
      const plain = await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })
      assert.deepEqual(watched(), [15_000])
      await plain.close()
      await tunnel.close()
    } finally {
      globalThis.setInterval = setInterval
      await shadow.stop()
    }
  })

  it('is a plain session with an agent that does not know lines', async () => {
    const old = createServer((socket) => {
      socket.write('SSH-2.0-kt_agent\r\n')
      socket.on('error', () => {})
    }).listen(0, '127.0.0.1')
    await once(old, 'listening')
    const { port } = old.address() as AddressInfo
    let line: LineClient | undefined
    await assert.rejects(async () => {
      const shadow = {
        kind: 'agent' as const,
        username: 'kt',
        clientKey: generateSshKeyPair('c').privateKey,
        hostKey: undefined,
      }
      line = await LineClient.open(
        {
          clock: systemClock,
          wall: Date.now,
          random: randomBytes,
          dial: () => dialPath('127.0.0.1', port),
          isAlive: async () => true,
          log: () => {},
        },
        new AbortController().signal,
      )
      await connectTunnel({ ...shadow, transport: line.transport, line })
    })
    assert.equal(line!.unknownHere, true)
    old.close()
  })
})

describe('SSH session', () => {
  it('refuses another host key than the pinned one', async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    const hostKey = generateSshKeyPair('another').publicKey
    await assert.rejects(
      connectTunnel({ ...shadow, hostKey, transport }),
      (error) => error instanceof TunnelError && error.code === 'host-key',
    )
    await shadow.stop()
  })

  it('tells the host key it took when none was pinned', async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    const tunnel = await connectTunnel({ ...shadow, hostKey: undefined, transport })
    assert.equal(tunnel.hostKey, shadow.hostKey)
    await tunnel.close()
    assert.deepEqual(await tunnel.closed, { expected: true, message: 'closed' })
    await shadow.stop()
  })

  it('says when our key is not the one', async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    const clientKey = generateSshKeyPair('stranger').privateKey
    await assert.rejects(
      connectTunnel({ ...shadow, clientKey, transport }),
      (error) => error instanceof TunnelError && error.code === 'auth',
    )
    await shadow.stop()
  })

  it('gives up on a server that says nothing', async () => {
    const mute = createServer(() => {})
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as { port: number }
    const transport = await openTcp('127.0.0.1', port)
    const keys = generateSshKeyPair('client')
    await assert.rejects(
      connectTunnel({
        kind: 'agent',
        username: 'kt',
        clientKey: keys.privateKey,
        hostKey: undefined,
        timeoutMs: 50,
        transport,
      }),
      (error) => error instanceof TunnelError && error.code === 'timeout',
    )
    mute.close()
  })

  it('knows the agent’s addresses and resolver, and serves two clients at once', async () => {
    const shadow = await startAgent({ resolvConfPath: import.meta.filename })
    const tunnels = await Promise.all(
      [1, 2].map(async () => connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })),
    )
    for (const { info } of tunnels) {
      assert.equal(info.kind, 'agent')
      assert.deepEqual(info.capabilities, { udp: true, ping: false, reset: true, answersEmpty: true })
      assert.match(info.resolvConf ?? '', /^\/\/ Each tunnel/)
    }
    for (const tunnel of tunnels) {
      assert.ok((await tunnel.probe(5000)) >= 0)
      await tunnel.close()
    }
    await shadow.stop()
  })
})
