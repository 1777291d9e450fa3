import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { connectTunnel, openTcp, TunnelError } from '../../../src/tunnel/index.ts'
import { listen } from '../../shadow-http/support.ts'
import { startAgent } from '../../tunnel/shadows.ts'
import type { Area, Subject } from '../area.ts'
import type { Random } from '../random.ts'

/** A change of the stream: which way, behind how many bytes, and what is laid over those that come there. */
const CHANGE_BYTES = 1 + 2 + 4

/** So often an honest client comes. */
const HONEST_EVERY = 10

interface Change {
  up: boolean
  at: number
  mask: Buffer
}

function changes(input: Buffer): Change[] {
  const all: Change[] = []
  for (let p = 0; p + CHANGE_BYTES <= input.length; p += CHANGE_BYTES)
    all.push({ up: (input[p] & 1) === 1, at: input.readUInt16BE(p + 1) % 4096, mask: input.subarray(p + 3, p + 7) })
  return all
}

/** Hands `from` on to `to` with the changes made. */
function corrupt(from: Socket, to: Socket, wanted: readonly Change[]): void {
  let passed = 0
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroy())
  from.on('data', (chunk: Buffer) => {
    const changed = Buffer.from(chunk)
    for (const { at, mask } of wanted)
      for (let i = 0; i < mask.length; i++)
        if (at + i >= passed && at + i < passed + changed.length) changed[at + i - passed] ^= mask[i]
    passed += changed.length
    if (!to.destroyed) to.write(changed)
  })
}

async function start(): Promise<Subject> {
  const agent = await startAgent()
  let wanted: Change[] = []
  const between = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: agent.port, noDelay: true })
    corrupt(
      near,
      far,
      wanted.filter(({ up }) => up),
    )
    corrupt(
      far,
      near,
      wanted.filter(({ up }) => !up),
    )
  })
  const port = await listen(between)
  let attempts = 0
  const come = async (to: number) => {
    const transport = await openTcp('127.0.0.1', to)
    // A length that was made larger makes both sides wait for what never comes.
    const timer = setTimeout(() => transport.destroy(), 300)
    try {
      const tunnel = await connectTunnel({ ...agent, transport })
      await tunnel.close()
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    async attempt(input) {
      wanted = changes(input)
      await come(port).catch((error) => assert.ok(error instanceof TunnelError, String(error)))
      wanted = []
      if (++attempts % HONEST_EVERY === 0) {
        const tunnel = await connectTunnel({ ...agent, transport: await openTcp('127.0.0.1', agent.port) })
        await tunnel.close()
      }
    },
    async stop() {
      between.close()
      await agent.stop()
    },
  }
}

function change(random: Random): Buffer {
  const bytes = Buffer.alloc(CHANGE_BYTES)
  bytes[0] = random.int(2)
  // The lengths of the first packets, in clear text, are where most can go wrong.
  bytes.writeUInt16BE(random.chance(50) ? random.int(80) : random.int(4096), 1)
  for (let i = 3; i < CHANGE_BYTES; i++) bytes[i] = random.chance(60) ? 0 : random.next()
  return bytes
}

export default {
  about:
    'SSH with bytes changed on the way, lengths above all: a session fails in words, and the agent serves the others',
  make: (random) => Buffer.concat(Array.from({ length: 1 + random.int(2) }, () => change(random))),
  start,
} satisfies Area
