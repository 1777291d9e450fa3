// Ports served for the cluster beside streams into it, over loopback: a caller in a process of its own moves bytes through the agent to a
// handler here (listen), then this process through the agent to that process (direct), so that both pass the same parts.
//   node bench/tunnel-listen.ts [MEGABYTES] [ROUNDS]
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSshKeyPair } from '../src/cluster/ssh-key.ts'
import { type ConnectedTunnel, connectTunnel, openTcp } from '../src/tunnel/index.ts'
import type { StreamHandler, TunnelStream } from '../src/tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../src/wire/address.ts'
import { freePort } from '../test/tunnel/shadows.ts'

const loopback = IpAddress.parse('127.0.0.1')
const origin: Endpoint = { address: loopback, port: 1 }
const block = Buffer.alloc(256 * 1024, 'kt')

interface Order {
  /** Where to connect; absent: listen, and say where. */
  port?: number
  way: 'send' | 'receive'
  bytes: number
  connections: number
}

/** The caller, or the pod that is called: one order at a time. */
function peer(): void {
  process.on('message', (order: Order) => {
    let left = order.connections
    const over = () => {
      if (--left > 0) return
      server?.close()
      process.send!({ done: true })
    }
    const serve = (socket: ReturnType<typeof connect>) => {
      socket.on('error', (error) => {
        throw error
      })
      socket.on('close', over)
      let bytes = order.bytes
      if (order.way === 'receive') socket.resume()
      else {
        const more = () => {
          while (bytes > 0) {
            const size = Math.min(bytes, block.length)
            bytes -= size
            if (!socket.write(size === block.length ? block : block.subarray(0, size))) break
          }
          if (bytes === 0) socket.end()
        }
        socket.on('drain', more)
        more()
        socket.resume()
      }
      socket.on('end', () => socket.end())
    }
    const server = order.port === undefined ? createServer({ allowHalfOpen: true, noDelay: true }, serve) : undefined
    if (server) server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }))
    else
      for (let i = 0; i < order.connections; i++)
        serve(connect({ port: order.port!, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }))
  })
}

async function main(): Promise<void> {
  const bytes = Number(process.argv[2] ?? 1000) * 1e6
  const rounds = Number(process.argv[3] ?? 3)
  const port = await freePort()
  const { tunnel, agentCpu, stop } = await agentWith(port)
  void tunnel.closed.then(({ expected, message }) => expected || console.error(`tunnel: ${message}`))
  const child = fork(import.meta.filename, { execArgv: [] })
  const { ONLY: only } = process.env
  const rates: Record<string, number[]> = {}
  const timed = async (name: string, total: number, action: () => Promise<void>) => {
    if (only && !name.startsWith(only)) return
    const cpu = process.cpuUsage()
    const far = agentCpu()
    const started = performance.now()
    await action()
    const rate = total / 1e3 / (performance.now() - started)
    const used = process.cpuUsage(cpu)
    rates[name] = [...(rates[name] ?? []), rate]
    const mine = (used.user + used.system) / 1e6 / (total / 1e9)
    const theirs = (agentCpu() - far) / (total / 1e9)
    console.log(`${name}: ${rate.toFixed(0)} MB/s, ${mine.toFixed(2)} CPU s/GB here, ${theirs.toFixed(2)} in the agent`)
  }
  for (let i = 0; i < rounds; i++) {
    await timed('listen to here', bytes, () => listening(tunnel, child, port, 'send', bytes, 1))
    await timed('direct to here', bytes, () => dialling(tunnel, child, 'send', bytes))
    await timed('listen from here', bytes, () => listening(tunnel, child, port, 'receive', bytes, 1))
    await timed('direct from here', bytes, () => dialling(tunnel, child, 'receive', bytes))
    await timed('200 connections to here', 200e6, () => listening(tunnel, child, port, 'send', 1e6, 200))
  }
  for (const way of only ? [] : ['to', 'from'])
    console.log(
      `listen/direct ${way} here, medians: ${(median(rates[`listen ${way} here`]) / median(rates[`direct ${way} here`])).toFixed(2)}`,
    )
  await tunnel.close()
  child.disconnect()
  await stop()
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** Sends or takes so many bytes, and ends. `stream` is set before anything is called. */
class Mover implements StreamHandler {
  readonly returnsChunks = true
  stream!: TunnelStream
  readonly #over: () => void
  #left: number

  constructor(sends: number, over: () => void) {
    this.#left = sends
    this.#over = over
  }

  onOpen(): void {
    this.onDrain()
  }
  onFail(_reason: string, message: string): void {
    throw new Error(message)
  }
  onData(chunk: Uint8Array): void {
    this.stream.consumed(chunk.length)
  }
  onEnd(): void {
    this.stream.end()
  }
  onDrain(): void {
    while (this.#left > 0) {
      const size = Math.min(this.#left, block.length)
      const taken = this.stream.write(block, 0, size)
      this.#left -= taken
      if (taken < size) return
    }
    if (this.#left === 0) this.stream.end()
    this.#left = -1
  }
  onClose(reason: string): void {
    if (reason !== 'closed') throw new Error(reason)
    this.#over()
  }
}

/** `way` is the peer's. */
async function listening(
  tunnel: ConnectedTunnel,
  child: ChildProcess,
  port: number,
  way: Order['way'],
  bytes: number,
  connections: number,
): Promise<void> {
  let left = connections
  let over: () => void = () => {}
  const all = new Promise<void>((resolve) => {
    over = resolve
  })
  const listener = await tunnel.listen(port, 'TCP', {
    onStream(incoming) {
      const mover = new Mover(way === 'receive' ? bytes : -1, () => --left === 0 && over())
      mover.stream = incoming.accept(mover)
      if (way === 'receive') mover.onDrain()
    },
    onDatagrams: (incoming) => incoming.refuse(),
  })
  const done = answer(child)
  child.send({ port, way, bytes, connections } satisfies Order)
  await Promise.all([all, done])
  await listener.close()
}

async function dialling(tunnel: ConnectedTunnel, child: ChildProcess, way: Order['way'], bytes: number): Promise<void> {
  const listens = answer(child)
  child.send({ way, bytes, connections: 1 } satisfies Order)
  const { port } = await listens
  const done = answer(child)
  await new Promise<void>((resolve) => {
    const mover = new Mover(way === 'receive' ? bytes : -1, resolve)
    mover.stream = tunnel.openStream({ address: loopback, port: port! }, origin, mover)
  })
  await done
}

function answer(child: ChildProcess): Promise<{ port?: number }> {
  return new Promise((resolve) => child.once('message', (message) => resolve(message as { port?: number })))
}

async function agentWith(port: number): Promise<{
  tunnel: ConnectedTunnel
  agentCpu(): number
  stop(): Promise<void>
}> {
  const folder = mkdtempSync(join(tmpdir(), 'kt-bench-'))
  const host = generateSshKeyPair('host')
  const client = generateSshKeyPair('client')
  writeFileSync(join(folder, 'host_key'), host.privateKey)
  writeFileSync(join(folder, 'authorized'), client.publicLine)
  const agent = spawn(
    process.execPath,
    [...(process.env.AGENT_ARGS?.split(' ') ?? []), process.env.AGENT ?? 'dist/agent.cjs'],
    {
      env: {
        ...process.env,
        KT_AGENT_DIR: folder,
        KT_AGENT_PORT: '0',
        KT_AGENT_PORTS: JSON.stringify([{ port, protocol: 'TCP' }]),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const bound = await new Promise<number>((resolve) => {
    agent.stdout!.on('data', (chunk: Buffer) => {
      const match = /listens on port (\d+)/.exec(chunk.toString())
      if (match) resolve(Number(match[1]))
    })
  })
  const tunnel = await connectTunnel({
    kind: 'agent',
    username: 'kt',
    clientKey: client.privateKey,
    hostKey: host.publicKey,
    transport: await openTcp('127.0.0.1', bound),
  })
  return {
    tunnel,
    /** Seconds it has worked. /proc/PID/stat: proc(5), in ticks of 10 ms. */
    agentCpu() {
      const fields = readFileSync(`/proc/${agent.pid}/stat`, 'utf8').split(') ')[1].split(' ')
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    async stop() {
      agent.kill('SIGINT')
      await new Promise((resolve) => agent.once('exit', resolve))
      rmSync(folder, { recursive: true })
    },
  }
}

if (process.send) peer()
else await main()
