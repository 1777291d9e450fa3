// The inner half of the ping test, run in a network namespace: agent, tunnel, pings; prints what came of them.
import { spawn } from 'node:child_process'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import { IpAddress } from '../../src/wire/address.ts'

const child = spawn(process.execPath, [process.argv[2]], { stdio: ['ignore', 'pipe', 'inherit'] })
const port = await new Promise<number>((resolve) => {
  child.stdout.on('data', (chunk: Buffer) => {
    const match = /listens on port (\d+)/.exec(chunk.toString())
    if (match) resolve(Number(match[1]))
  })
})
const tunnel = await connectTunnel({
  kind: 'agent',
  username: 'kt',
  clientKey: process.env.KT_CLIENT!,
  hostKey: process.env.KT_HOST,
  transport: await openTcp('127.0.0.1', port),
})
const ping = (address: string, length: number) => tunnel.ping(IpAddress.parse(address), Buffer.alloc(length), 300)
console.log(
  JSON.stringify({
    capability: tunnel.info.capabilities.ping,
    v4: await ping('127.0.0.1', 56),
    v6: await ping('::1', 0),
    large: await ping('127.0.0.1', 8000),
    nobody: await ping('10.9.9.9', 56),
  }),
)
await tunnel.close()
child.kill()
