// The way to a shadow when the API server does not accept a token any more.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { ClusterClient, ShadowHandle } from '../../src/cluster/calls.ts'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { ShadowTunnels } from '../../src/connection/shadow-tunnel.ts'
import { openPortForward, type Path } from '../../src/tunnel/index.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../support/virtual-time.ts'

/** Opens a port-forward at a server that answers 401 to the token `old` and 500 to others. */
async function open(tokens: string[]) {
  const server = createServer()
  server.on('upgrade', ({ headers }, socket) => {
    const status = headers.authorization === 'Bearer old' ? 401 : 500
    socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const calls: string[] = []
  const cluster = {
    portForward: async () => {
      calls.push('portForward')
      const headers = { Authorization: `Bearer ${tokens.shift()}` }
      return { url: `ws://127.0.0.1:${port}/forward?ports=1`, headers, tls: { rejectUnauthorized: true } }
    },
    shadowState: async () => {
      calls.push('shadowState')
      return { state: 'running', detail: '' }
    },
  } as unknown as ClusterClient
  const clock = new VirtualTime()
  const tunnels = new ShadowTunnels({
    cluster,
    openPath: openPortForward,
    clock,
    wall: () => 0,
    random: (bytes) => Buffer.alloc(bytes),
    log: () => {},
  })
  const signal = new AbortController().signal
  const error = await tunnels.open({} as ShadowHandle, signal).catch((reason: Error) => reason)
  server.closeAllConnections()
  server.close()
  return { calls, message: (error as Error).message }
}

test('a question to the API server gets new credentials, and the port-forward is opened once more', async () => {
  const { calls, message } = await open(['old', 'new'])
  assert.deepEqual(calls, ['portForward', 'shadowState', 'portForward'])
  assert.match(message, /answered 500/)
})

test('a tunnel that is given up ends its dial at once, also while the cluster is asked how to dial', async () => {
  const dials: AbortSignal[] = []
  const never = new Promise<never>(() => {})
  const tunnels = (cluster: Partial<ClusterClient>) =>
    new ShadowTunnels({
      cluster: cluster as ClusterClient,
      openPath: (_endpoint, signal) => {
        dials.push(signal)
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      clock: new VirtualTime(),
      wall: () => 0,
      random: (bytes) => Buffer.alloc(bytes),
      log: () => {},
    })
  const endpoint = { url: 'ws://127.0.0.1:1/', headers: {}, tls: { rejectUnauthorized: true } }
  for (const kind of ['agent', 'sshd'] as const) {
    for (const cluster of [{ portForward: () => never }, { portForward: async () => endpoint }]) {
      const controller = new AbortController()
      const opening = tunnels(cluster).open({ kind, pod: 'p' } as ShadowHandle, controller.signal)
      opening.catch(() => {})
      await new Promise(setImmediate)
      controller.abort(new Error('given up'))
      await assert.rejects(opening, /given up/)
    }
  }
  assert.deepEqual(
    dials.map(({ aborted }) => aborted),
    [true, true],
  )
})

test('only once, and only for a 401', async () => {
  const refused = await open(['old', 'old', 'new'])
  assert.deepEqual(refused.calls, ['portForward', 'shadowState', 'portForward'])
  assert.match(refused.message, /answered 401/)
  assert.deepEqual((await open(['new', 'new'])).calls, ['portForward'])
})

test('an agent that knows no lines is asked once: its pod gets plain sessions from then on', async () => {
  const first: Record<string, string[]> = {}
  const oldAgent = (pod: string): Path => {
    const begins: string[] = []
    return {
      framing: plainFraming,
      send: (message, done) => {
        if (begins.push(message.toString('latin1')) === 1) (first[pod] ??= []).push(begins[0].slice(0, 8))
        done()
      },
      start: (onData, onClose) => {
        setImmediate(() => onData(Buffer.from('SSH-2.0-kt_agent\r\n')))
        // That is all it says here.
        setImmediate(() => setImmediate(() => onClose(undefined)))
      },
      end: () => {},
      destroy: () => {},
    }
  }
  const tunnels = new ShadowTunnels({
    cluster: { portForward: async ({ pod }: ShadowHandle) => ({ url: pod }) } as unknown as ClusterClient,
    openPath: async ({ url }) => oldAgent(url),
    clock: new VirtualTime(),
    wall: () => 0,
    random: (bytes) => Buffer.alloc(bytes),
    log: () => {},
  })
  const open = async (pod: string) => {
    const { privateKey: clientKey } = generateSshKeyPair('kt')
    const shadow = { kind: 'agent', pod, username: 'kt', clientKey } as unknown as ShadowHandle
    await assert.rejects(tunnels.open(shadow, new AbortController().signal))
  }
  await open('one')
  await open('one')
  await open('two')
  assert.deepEqual(first, {
    one: ['KTLINE1\n', 'SSH-2.0-', 'SSH-2.0-'],
    two: ['KTLINE1\n', 'SSH-2.0-'],
  })
})
