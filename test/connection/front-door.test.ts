// Gateways before an API server, with short times: connections live through what each of them does.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import type { ShadowHandle } from '../../src/cluster/calls.ts'
import { ShadowTunnels } from '../../src/connection/shadow-tunnel.ts'
import { type DoorNotes, FrontDoors } from '../../src/tunnel/index.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { noFaults } from '../lab/faults.ts'
import { PortForwards } from '../lab/port-forward.ts'
import { type Habits, startFrontDoor } from '../support/front-door.ts'
import { until } from '../support/until.ts'
import { Probe } from '../tunnel/compliance.ts'
import { type Shadow, startAgent } from '../tunnel/shadows.ts'

const SIGNAL = new AbortController().signal
const PATIENCE_MS = 30_000
const portOf = (server: NetServer | Server) => (server.address() as AddressInfo).port

describe('behind a gateway', () => {
  let agent: Shadow
  /** Knows port-forwards over WebSockets only. */
  let api: Server
  let echo: NetServer
  before(async () => {
    agent = await startAgent()
    const forwards = new PortForwards(noFaults())
    api = createHttpServer().on('upgrade', (request, socket, head) => {
      if (request.method === 'GET') forwards.accept(request, socket, head, 2222, agent.port)
      else socket.end('HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n')
    })
    echo = createServer((socket) => socket.pipe(socket).on('error', () => {}))
    for (const server of [api, echo]) await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  after(async () => {
    api.closeAllConnections()
    for (const server of [api, echo]) server.close()
    await agent.stop()
  })

  /** Connects through a gateway with these habits; `notes` is what earlier processes noted. */
  async function behind(habits: Habits, notes = new Map<string, DoorNotes>(), paths = 1) {
    const door = await startFrontDoor({ to: { host: '127.0.0.1', port: portOf(api) } }, habits)
    const url = `ws://127.0.0.1:${door.port}${habits.prefix ?? ''}/api/v1/namespaces/n/pods/p/portforward?ports=2222`
    const memory = {
      recall: () => notes.get('door') ?? {},
      note: (_: string, noted: DoorNotes) => void notes.set('door', noted),
    }
    const doors = new FrontDoors({ memory, clock: systemClock, log: () => {} })
    const tunnels = new ShadowTunnels({
      cluster: {
        portForward: async () => ({ url, headers: {}, tls: { rejectUnauthorized: true } }),
        shadowState: async () => ({ state: 'running', detail: '' }),
      },
      openPath: doors.open,
      clock: systemClock,
      wall: Date.now,
      random: randomBytes,
      paths,
      log: () => {},
    })
    const tunnel = await tunnels.open({ ...agent, pod: 'p', namespace: 'n' } as unknown as ShadowHandle, SIGNAL)
    const probe = new Probe(tunnel, { address: IpAddress.parse('127.0.0.1'), port: portOf(echo) })
    await probe.event('open')
    const sent = createHash('sha256')
    let total = 0
    const say = async (bytes: number) => {
      const piece = randomBytes(bytes)
      sent.update(piece)
      total += bytes
      await probe.send(piece)
      await until('the echo', () => probe.received === total, PATIENCE_MS)
    }
    return {
      ...{ door, tunnel, say },
      report: () => tunnel.line!.report,
      /** Goes on echoing until `done`. */
      talk: async (done: () => boolean) => {
        while (!done()) await say(20_000)
      },
      /** The connection has lived, and every byte is as it was sent. */
      async finish() {
        await say(300_000)
        assert.equal(probe.hash.digest('hex'), sent.digest('hex'))
        assert.deepEqual(probe.events, ['open'])
        await tunnel.close()
        await door.close()
      },
    }
  }

  test('that cuts idle connections, an idle one lives', async () => {
    const { door, finish } = await behind({ idleMs: 1_000 })
    await until('three cuts', () => door.ended >= 3, PATIENCE_MS)
    await finish()
  })

  test('that ends each connection at a fixed age, the line moves in time once that was seen', async () => {
    const notes = new Map<string, DoorNotes>()
    const { report, talk, finish } = await behind({ lifetimeMs: 2_000 }, notes)
    await talk(() => report().moves > 0)
    const { resumptions } = report()
    assert.ok(report().paths[0].endsInMs! > 0)
    await talk(() => report().moves > 2)
    assert.equal(report().resumptions, resumptions, 'no end came as a surprise')
    await finish()
    // The next process knows it from the beginning.
    const next = await behind({ lifetimeMs: 2_000 }, notes)
    await next.talk(() => next.report().moves > 0)
    assert.equal(next.report().resumptions, 0)
    await next.finish()
  })

  for (const swallow of ['up', 'down'] as const)
    test(`that swallows what goes ${swallow}, the line goes on over another connection`, async () => {
      const { door, report, say, finish } = await behind({})
      door.habits = { swallow }
      await say(50_000)
      assert.equal(report().resumptions, 1)
      await finish()
    })

  test('that ends each connection at a fixed age, two at a time carry every byte once', async () => {
    const { door, report, talk, finish } = await behind({ lifetimeMs: 1_500 }, undefined, 2)
    let both = 0
    await talk(() => {
      if (report().paths.length === 2) both++
      return door.ended >= 6
    })
    assert.ok(both > 0, 'there were never two')
    await finish()
  })

  test('that delays, nothing is suspected', async () => {
    const { report, say, finish } = await behind({ delayMs: 200 })
    await say(50_000)
    assert.equal(report().resumptions, 0)
    await finish()
  })

  test('whose server is below a path, it is reached', async () => {
    const { finish } = await behind({ prefix: '/k8s/clusters/c-1' })
    await finish()
  })

  for (const refusal of [403, 502, 'close', 'silence'] as const)
    test(`that lets no SPDY pass (${refusal}), a WebSocket is taken, and by the next process at once`, async () => {
      const notes = new Map<string, DoorNotes>()
      const first = await behind({ refuse: 'spdy', refusal }, notes)
      assert.deepEqual(first.door.upgrades, { spdy: 1, websocket: 1 })
      assert.equal(first.report().paths[0].way, 'websocket')
      await first.finish()
      const second = await behind({ refuse: 'spdy', refusal }, notes)
      assert.deepEqual(second.door.upgrades, { spdy: 0, websocket: 1 })
      await second.finish()
    })
})
