// The tunnel alone, without TUN and stack: throughput, CPU of this process and of the machine a GB, latency at rest and behind bulk, openings.
//   node bench/tunnel.ts line|agent|sshd|plain [SECONDS]      over loopback, far ends as processes of their own; `agent` is without a line
//   node bench/tunnel.ts cluster-agent|cluster-sshd [SECONDS]   over a port-forward (KUBECONFIG, KUBECTL, IMAGE, NODE)
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { loadAddon } from '../src/base/installation.ts'
import { systemRandom } from '../src/base/random.ts'
import { generateSshKeyPair } from '../src/cluster/ssh-key.ts'
import { type ConnectedTunnel, connectTunnel, LineClient, loadGcm, openTcp } from '../src/tunnel/index.ts'
import { dialPath } from '../src/tunnel/transport/tcp.ts'
import type { StreamHandler, Tunnel, TunnelStream } from '../src/tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../src/wire/address.ts'
import { startSshd } from '../test/tunnel/shadows.ts'
import { createClusterShadow, kubectl, tunnelTo } from './tunnel-cluster.ts'

const mode = process.argv[2] ?? 'agent'
const seconds = Number(process.argv[3] ?? 3)
const only = process.env.ONLY?.split(',')
const origin: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 1 }
const deaf: StreamHandler = {
  returnsChunks: true,
  onOpen() {},
  onFail(_reason, message) {
    throw new Error(message)
  },
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

interface Targets {
  source: Endpoint
  discard: Endpoint
  echo: Endpoint
  udp: Endpoint
}

const block = Buffer.alloc(256 * 1024, 'kt')

// KT_BENCH_CIPHER=node leaves the compiled cipher out, at both ends.
const noGcm = process.env.KT_BENCH_CIPHER === 'node' || loadGcm(() => loadAddon('kt_gcm.node'))
if (noGcm) console.log('without the compiled cipher')

let agentPid: number | undefined
const cleanups: (() => Promise<void> | void)[] = []
try {
  const { tunnel, targets } = mode.startsWith('cluster') ? await overCluster() : await overLoopback()
  console.log(`${mode}: ${tunnel.info.version}, round trip ${(await tunnel.probe(5000)).toFixed(2)} ms`)
  void tunnel.closed.then(({ expected, message }) => {
    if (!expected) console.error(`tunnel: ${message}`)
  })
  await run('down 1', () => bulk(tunnel, targets.source, 1, download))
  await run('up   1', () => bulk(tunnel, targets.discard, 1, upload))
  await run('down 4', () => bulk(tunnel, targets.source, 4, download))
  await run('up   4', () => bulk(tunnel, targets.discard, 4, upload))
  if (!only || only.includes('latency')) await latencies(tunnel, targets)
  if (!only || only.includes('open')) {
    for (const parallel of [1, 16])
      console.log(`open, ${parallel} at a time: ${await openings(tunnel, targets.echo, parallel)} a second`)
  }
  await tunnel.close()
} finally {
  for (const cleanup of cleanups.reverse()) await cleanup()
}

async function run(name: string, action: () => Promise<number>): Promise<void> {
  if (only && !only.includes(name.trim().split(' ')[0])) return
  const cpu = process.cpuUsage()
  const machine = machineBusy()
  const agent = agentSeconds()
  const bytes = await action()
  const used = process.cpuUsage(cpu)
  const mine = (used.user + used.system) / 1e6 / (bytes / 1e9)
  const all = (machineBusy() - machine) / (bytes / 1e9)
  const there = (agentSeconds() - agent) / (bytes / 1e9)
  const rate = bytes / 1e6 / seconds
  const memory = Math.round(process.memoryUsage.rss() / 2 ** 20)
  console.log(
    `${name}: ${rate.toFixed(0)} MB/s, ${mine.toFixed(3)} CPU s/GB here, ${there.toFixed(3)} in the agent, ${all.toFixed(2)} on the machine, ${memory} MiB`,
  )
}

/** CPU seconds of the agent, if it is a child of ours. */
function agentSeconds(): number {
  if (agentPid === undefined) return 0
  const fields = readFileSync(`/proc/${agentPid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Seconds all cores have worked since the start. */
function machineBusy(): number {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number)
  return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / 100
}

type Move = (tunnel: Tunnel, target: Endpoint, count: (bytes: number) => void) => Promise<TunnelStream>

async function bulk(tunnel: Tunnel, target: Endpoint, flows: number, move: Move): Promise<number> {
  let bytes = 0
  const streams = await Promise.all(
    Array.from({ length: flows }, () =>
      move(tunnel, target, (count) => {
        bytes += count
      }),
    ),
  )
  bytes = 0
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const moved = bytes
  for (const stream of streams) stream.reset()
  await new Promise((resolve) => setTimeout(resolve, 300))
  return moved
}

function download(tunnel: Tunnel, target: Endpoint, count: (bytes: number) => void): Promise<TunnelStream> {
  return new Promise((resolve) => {
    const stream = tunnel.openStream(target, origin, {
      ...deaf,
      onOpen: () => resolve(stream),
      onData(chunk) {
        count(chunk.length)
        stream.consumed(chunk.length)
      },
    })
  })
}

function upload(tunnel: Tunnel, target: Endpoint, count: (bytes: number) => void): Promise<TunnelStream> {
  return new Promise((resolve) => {
    const push = () => {
      for (;;) {
        const taken = stream.write(block, 0, block.length)
        count(taken)
        if (taken < block.length) return
      }
    }
    const stream: TunnelStream = tunnel.openStream(target, origin, {
      ...deaf,
      onOpen() {
        resolve(stream)
        push()
      },
      onDrain: push,
    })
  })
}

async function latencies(tunnel: Tunnel, targets: Targets): Promise<void> {
  const idle = await echoes(tunnel, targets.echo)
  console.log(`TCP echo of 64 bytes at rest: ${percentiles(idle)}`)
  if (tunnel.info.capabilities.udp)
    console.log(`UDP echo of 64 bytes at rest: ${percentiles(await udpEchoes(tunnel, targets.udp))}`)
  for (const [name, target, move] of [
    ['8 downloads', targets.source, download],
    ['8 uploads', targets.discard, upload],
  ] as const) {
    const streams = await Promise.all(Array.from({ length: 8 }, () => move(tunnel, target, () => {})))
    await new Promise((resolve) => setTimeout(resolve, 500))
    console.log(`TCP echo behind ${name}: ${percentiles(await echoes(tunnel, targets.echo))}`)
    for (const stream of streams) stream.reset()
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

function percentiles(samples: number[]): string {
  samples.sort((a, b) => a - b)
  const at = (share: number) => samples[Math.min(samples.length - 1, Math.floor(samples.length * share))].toFixed(2)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (${samples.length})`
}

function echoes(tunnel: Tunnel, target: Endpoint): Promise<number[]> {
  return new Promise((resolve) => {
    const samples: number[] = []
    const until = performance.now() + 2000
    const payload = Buffer.alloc(64, 'e')
    let sent = 0
    let got = 0
    const send = () => {
      sent = performance.now()
      stream.write(payload, 0, payload.length)
    }
    const stream = tunnel.openStream(target, origin, {
      ...deaf,
      onOpen: send,
      onData(chunk) {
        stream.consumed(chunk.length)
        got += chunk.length
        if (got < payload.length) return
        got = 0
        const now = performance.now()
        samples.push(now - sent)
        if (now < until) return send()
        stream.reset()
        resolve(samples)
      },
    })
  })
}

function udpEchoes(tunnel: Tunnel, target: Endpoint): Promise<number[]> {
  return new Promise((resolve) => {
    const samples: number[] = []
    const until = performance.now() + 2000
    const payload = Buffer.alloc(64, 'e')
    let sent = performance.now()
    const flow = tunnel.openDatagrams(target, {
      onDatagram() {
        const now = performance.now()
        samples.push(now - sent)
        if (now >= until) {
          flow.close()
          return resolve(samples)
        }
        sent = performance.now()
        flow.send(payload)
      },
      onFail(reason) {
        throw new Error(reason)
      },
    })
    flow.send(payload)
  })
}

/** Connections opened and closed one after the other, so many at a time. */
async function openings(tunnel: Tunnel, target: Endpoint, parallel: number): Promise<number> {
  let count = 0
  const started = performance.now()
  const until = started + 2000
  const one = () =>
    new Promise<void>((resolve) => {
      const stream = tunnel.openStream(target, origin, {
        ...deaf,
        onOpen: () => stream.end(),
        onClose: () => resolve(),
      })
    })
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      while (performance.now() < until) {
        await one()
        count++
      }
    }),
  )
  return Math.round((1000 * count) / (performance.now() - started))
}

async function overLoopback(): Promise<{ tunnel: ConnectedTunnel; targets: Targets }> {
  const peer = fork(join(import.meta.dirname, 'tunnel-peer.ts'), { execArgv: [] })
  cleanups.push(() => peer.disconnect())
  const ports = await new Promise<Record<keyof Targets, number>>((resolve) => {
    peer.on('message', (message) => resolve(message as Record<keyof Targets, number>))
  })
  const targets = Object.fromEntries(
    Object.entries(ports).map(([name, port]) => [name, { address: origin.address, port }]),
  ) as unknown as Targets
  if (mode === 'sshd') {
    const shadow = await startSshd()
    cleanups.push(() => shadow.stop())
    return { targets, tunnel: await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) }) }
  }
  const folder = mkdtempSync(join(tmpdir(), 'kt-bench-'))
  const host = generateSshKeyPair('host')
  const client = generateSshKeyPair('client')
  writeFileSync(join(folder, 'host_key'), host.privateKey)
  writeFileSync(join(folder, 'authorized'), client.publicLine)
  // The agent has the compiled cipher from its Secret.
  const addon = join(import.meta.dirname, `../native/build/napi8-${process.arch}/kt_gcm.node`)
  if (!noGcm) copyFileSync(addon, join(folder, `kt_gcm-${process.arch}.node`))
  const child: ChildProcess = spawn(
    process.execPath,
    [...(process.env.AGENT_ARGS?.split(' ') ?? []), process.env.AGENT ?? 'dist/agent.cjs'],
    { env: { ...process.env, KT_AGENT_DIR: folder, KT_AGENT_PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  agentPid = child.pid
  cleanups.push(async () => {
    child.kill('SIGINT')
    await new Promise((resolve) => child.once('exit', resolve))
    rmSync(folder, { recursive: true })
  })
  const port = await new Promise<number>((resolve) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      const match = /listens on port (\d+)/.exec(chunk.toString())
      if (match) resolve(Number(match[1]))
    })
  })
  const line = mode === 'line' ? await openLine(port) : undefined
  const tunnel = await connectTunnel({
    kind: 'agent',
    username: 'kt',
    clientKey: client.privateKey,
    hostKey: host.publicKey,
    transport: line ? line.transport : await openTcp('127.0.0.1', port),
    line,
  })
  return { tunnel, targets }
}

function openLine(port: number): Promise<LineClient> {
  const options = {
    clock: systemClock,
    wall: Date.now,
    random: systemRandom,
    dial: () => dialPath('127.0.0.1', port),
    isAlive: async () => true,
    log: console.error,
  }
  return LineClient.open(options, new AbortController().signal)
}

async function overCluster(): Promise<{ tunnel: ConnectedTunnel; targets: Targets }> {
  const kind = mode === 'cluster-sshd' ? 'sshd' : 'agent'
  const name = `bench-tunnel-${kind}-${process.pid}`
  const shadow = createClusterShadow(kind, 'shop', name, { image: process.env.IMAGE, node: process.env.NODE })
  cleanups.push(() => shadow.remove())
  const address = IpAddress.parse(
    kubectl(['get', 'pods', '-n', 'shop', '-l', 'app=web', '-o', 'jsonpath={.items[0].status.podIP}']),
  )
  const tunnel = await tunnelTo(shadow)
  return {
    tunnel,
    targets: {
      source: { address, port: 19 },
      discard: { address, port: 9 },
      echo: { address, port: 7 },
      udp: { address, port: 7 },
    },
  }
}
