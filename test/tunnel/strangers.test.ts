// An agent that many connections come to: those that say nothing, and those of lines whose clients are absent, keep nobody out who
// belongs there.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { connectTunnel, LineClient, openTcp } from '../../src/tunnel/index.ts'
import { GREETING, greeted, LineFrame, lineFrame, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import { Strangers } from '../../src/tunnel/line/strangers.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { dialPath } from '../../src/tunnel/transport/tcp.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import type { Tunnel } from '../../src/tunnel/tunnel.ts'
import { until } from '../support/until.ts'
import { type Shadow, startAgent } from './shadows.ts'

describe('an agent that many connections come to', () => {
  let agent: Shadow
  const sockets: Socket[] = []
  const tunnels: Tunnel[] = []
  before(async () => {
    agent = await startAgent()
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    for (const tunnel of tunnels.splice(0)) await tunnel.close()
  })
  after(() => agent.stop())

  const open = () => sockets.filter(({ readyState }) => readyState === 'open')

  /** Opens so many connections one after the other, each of which begins with what `said` makes. */
  async function come(count: number, said: (index: number) => Uint8Array = () => Buffer.alloc(0)): Promise<void> {
    for (let i = 0; i < count; i++) {
      const socket = connect(agent.port, '127.0.0.1').on('error', () => {})
      sockets.push(socket)
      await new Promise((resolve) => socket.on('connect', resolve))
      socket.resume()
      const bytes = said(i)
      if (bytes.length > 0) socket.write(bytes)
    }
  }

  const openLine = (index: number) =>
    greeted(lineFrame(LineFrame.open, Buffer.alloc(16, index + 1))).subarray(PATH_HEADROOM)

  /** A client whose session goes over a line. */
  async function client() {
    let last: Path | undefined
    const line = await LineClient.open(
      {
        clock: systemClock,
        wall: Date.now,
        random: randomBytes,
        dial: async () => {
          last = await dialPath('127.0.0.1', agent.port)
          return last
        },
        isAlive: async () => true,
        log: () => {},
      },
      new AbortController().signal,
    )
    const tunnel = await connectTunnel({ ...agent, transport: line.transport, line })
    tunnels.push(tunnel)
    let goesOn = 0
    return {
      tunnel,
      /** It loses its connection, and has to come in again. */
      async comesAgain() {
        assert.equal(line.report.resumptions, goesOn, 'it did not have to until now')
        last!.destroy(new Error('lost'))
        await until('the line goes on', () => line.report.resumptions > goesOn && line.report.state === 'open')
        goesOn = line.report.resumptions
      },
    }
  }

  it('lets a client go on with its line however many lines there are', async () => {
    const { comesAgain } = await client()
    await come(70, openLine)
    await until('those that are too many are refused', () => open().length === 63)
    await comesAgain()
    await comesAgain()
  })

  it('lets a client go on with its line, and new clients in, however many say nothing', async () => {
    const { comesAgain } = await client()
    const plain = await connectTunnel({ ...agent, transport: await openTcp('127.0.0.1', agent.port) })
    tunnels.push(plain)
    let lost = false
    void plain.closed.then(() => (lost = true))
    for (const said of [Buffer.alloc(0), GREETING, Buffer.from('SSH-')]) {
      await come(200, () => said)
      await comesAgain()
      await client()
    }
    await until('the oldest have made room for the others', () => open().length <= 128)
    assert.ok(open().length > 64, `${open().length} are there`)
    assert.ok(sockets.slice(0, 400).every(({ readyState }) => readyState !== 'open'))
    assert.equal(lost, false, 'a session without a line is no stranger')
  })

  it('lets a client go on with its line, and open one, however many sessions without one there are', async () => {
    const { comesAgain } = await client()
    await come(70, () => Buffer.from('SSH-2.0-x\r\n'))
    await until('those that are too many are closed', () => open().length === 64)
    await comesAgain()
    await client()
    const refused = connectTunnel({ ...agent, transport: await openTcp('127.0.0.1', agent.port) })
    await assert.rejects(refused)
  })
})

it('a connection that has ended is not counted', () => {
  const strangers = new Strangers()
  const closed: number[] = []
  const come = (index: number) => {
    let over: (error: Error | undefined) => void
    const { path } = strangers.take({
      framing: plainFraming,
      send: () => {},
      start: (_, onClose) => (over = onClose),
      end: () => {},
      destroy: () => void closed.push(index),
    })
    path.start(
      () => {},
      () => {},
    )
    return () => over(undefined)
  }
  come(0)
  const ends = Array.from({ length: 127 }, (_, i) => come(1 + i))
  for (const end of ends) end()
  for (let i = 0; i < 127; i++) come(200 + i)
  assert.deepEqual(closed, [])
  come(400)
  assert.deepEqual(closed, [0])
})
