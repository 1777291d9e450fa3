// The agent as it ships: bundled to one file, run by itself as a process.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { build } from 'esbuild'
import ssh2 from 'ssh2'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import { until } from '../support/until.ts'
import { Caller, handler } from '../tunnel/listen-compliance.ts'
import { freePort } from '../tunnel/shadows.ts'

const root = join(import.meta.dirname, '../..')
const host = generateSshKeyPair('host')
const client = generateSshKeyPair('client')
let folder: string
let bundle: string

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kt-agent-'))
  bundle = join(folder, 'agent.cjs')
  await build({
    entryPoints: [join(root, 'src/shadow/agent.ts')],
    outfile: bundle,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    external: ['cpu-features', '*.node'],
    minify: true,
    logLevel: 'error',
  })
  writeFileSync(join(folder, 'host_key'), host.privateKey)
  writeFileSync(join(folder, 'authorized'), client.publicLine)
})
after(() => rmSync(folder, { recursive: true }))

function parsedKey(text: string): ssh2.ParsedKey {
  const parsed = ssh2.utils.parseKey(text)
  if (parsed instanceof Error) throw parsed
  return Array.isArray(parsed) ? parsed[0] : parsed
}

interface Running {
  child: ChildProcess
  port: number
  output(): string
  exited: Promise<number | null>
}

async function run(environment: Record<string, string> = {}, command: string[] = []): Promise<Running> {
  const [program, ...args] = [...command, process.execPath, bundle]
  const child = spawn(program, args, {
    env: { KT_AGENT_DIR: folder, KT_AGENT_PORT: '0', PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
  const port = await new Promise<number>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      output += chunk.toString()
      const match = /listens on port (\d+)/.exec(output)
      if (match) resolve(Number(match[1]))
    }
    child.stdout!.on('data', take)
    child.stderr!.on('data', take)
    void exited.then((code) => reject(new Error(`the agent ended with ${code}: ${output}`)))
  })
  return { child, port, output: () => output, exited }
}

const open = async (port: number) =>
  connectTunnel({
    kind: 'agent',
    username: 'kt',
    clientKey: client.privateKey,
    hostKey: host.publicKey,
    transport: await openTcp('127.0.0.1', port),
  })

describe('agent', () => {
  let pods: Server
  beforeEach(() => {
    pods = createServer({ allowHalfOpen: true })
  })

  it('is reached on its own loopback address only', {
    skip: process.platform !== 'linux' && 'all of 127/8 is Linux',
  }, async () => {
    const agent = await run()
    await assert.rejects(openTcp('127.0.0.2', agent.port), /refuses the connection/)
    const tunnel = await open(agent.port)
    await tunnel.close()
    agent.child.kill('SIGTERM')
    await agent.exited
  })

  it('needs nothing but its one file, serves, and ends at once on SIGTERM', async () => {
    assert.deepEqual(readdirSync(folder).sort(), ['agent.cjs', 'authorized', 'host_key'])
    const agent = await run()
    const tunnel = await open(agent.port)
    assert.equal(tunnel.info.capabilities.udp, true)
    assert.equal(tunnel.info.capabilities.ping, false)
    agent.child.kill('SIGTERM')
    assert.equal(await agent.exited, 0)
    const { expected } = await tunnel.closed
    assert.equal(expected, false)
    assert.match(agent.output(), /session opened, 1 now/)
    assert.match(agent.output(), /agent ends: SIGTERM/)
    assert.doesNotMatch(agent.output(), /PRIVATE KEY/)
  })

  it('ends by itself when no client has been there for a while, and not while one is', async () => {
    const agent = await run({ KT_AGENT_IDLE_S: '1' })
    const tunnel = await open(agent.port)
    await assert.rejects(
      Promise.race([
        agent.exited,
        new Promise((_, reject) => setTimeout(() => reject(new Error('still there')), 1500)),
      ]),
      /still there/,
    )
    await tunnel.close()
    assert.equal(await agent.exited, 0)
    assert.match(agent.output(), /no client for 1 s/)
  })

  it('lets nobody in without the key, and survives nonsense', async () => {
    const agent = await run()
    const clientKey = generateSshKeyPair('stranger').privateKey
    await assert.rejects(
      connectTunnel({
        kind: 'agent',
        username: 'kt',
        clientKey,
        hostKey: host.publicKey,
        transport: await openTcp('127.0.0.1', agent.port),
      }),
      /refused our key/,
    )
    for (const nonsense of ['GET / HTTP/1.1\r\n\r\n', `SSH-2.0-x\r\n${'\0'.repeat(1000)}`, '\xff'.repeat(20_000)]) {
      await new Promise<void>((resolve) => {
        const socket = connect(agent.port, '127.0.0.1', () => socket.end(nonsense, 'latin1'))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
      })
    }
    const tunnel = await open(agent.port)
    await tunnel.close()
    agent.child.kill('SIGTERM')
    assert.equal(await agent.exited, 0)
  })

  it('lets nobody in who shows the right key and signs with another, also where any key will do', async () => {
    for (const any of ['0', '1']) {
      const agent = await run({ KT_AGENT_ANY_KEY: any })
      const [signs, shows] = [generateSshKeyPair('stranger').privateKey, client.publicLine].map(parsedKey)
      const forged = Object.assign(signs, { getPublicSSH: () => shows.getPublicSSH() })
      const stranger = new ssh2.Client()
      const outcome = await new Promise((resolve) => {
        stranger.on('ready', () => resolve('let in')).on('error', (error) => resolve(error.message))
        const authHandler = [
          { type: 'publickey', username: 'kt', key: forged },
        ] as unknown as ssh2.AuthHandlerMiddleware
        stranger.connect({ host: '127.0.0.1', port: agent.port, username: 'kt', authHandler })
      })
      stranger.destroy()
      assert.match(`${outcome}`, /authentication methods failed/)
      agent.child.kill('SIGTERM')
      await agent.exited
    }
  })

  it('lets anybody with a key in where told so', async () => {
    const agent = await run({ KT_AGENT_ANY_KEY: '1', KT_AGENT_IDLE_S: '0' })
    const tunnel = await connectTunnel({
      kind: 'agent',
      username: 'kt',
      clientKey: generateSshKeyPair('stranger').privateKey,
      hostKey: host.publicKey,
      transport: await openTcp('127.0.0.1', agent.port),
    })
    await tunnel.close()
    agent.child.kill('SIGTERM')
    assert.equal(await agent.exited, 0)
    assert.doesNotMatch(agent.output(), /no client/)
  })

  it('told to end, it serves on until its client says that others do, and tells the client so', async () => {
    pods.on('connection', (socket) => socket.on('error', () => {}).end('original'))
    await new Promise<void>((resolve) => pods.listen(0, '127.0.0.1', resolve))
    const original = { host: '127.0.0.1', port: (pods.address() as AddressInfo).port }
    const port = await freePort()
    const agent = await run({ KT_AGENT_PORTS: JSON.stringify([{ port, protocol: 'TCP', http: false, original }]) })
    const tunnel = await open(agent.port)
    await tunnel.listen(port, 'TCP', handler({ onStream: (incoming) => incoming.decline('not in this test') }))
    agent.child.kill('SIGTERM')
    await tunnel.leaving
    const caller = new Caller(port)
    await caller.ended
    caller.socket.end()
    assert.equal(caller.text, 'original')
    const late = await open(agent.port)
    await late.leaving
    late.release()
    tunnel.release()
    assert.equal(await agent.exited, 0)
    pods.close()
  })

  it('opens its ready port when a client has claimed a port, or when none has come', async () => {
    for (const claimed of [true, false]) {
      const [port, ready] = [await freePort(), await freePort()]
      const agent = await run({
        KT_AGENT_READY_PORT: String(ready),
        KT_AGENT_STAY_S: '0',
        KT_AGENT_PORTS: JSON.stringify([{ port, protocol: 'TCP', http: false }]),
      })
      const isReady = () =>
        new Promise<boolean>((resolve) => {
          const socket = connect(ready, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
          socket.on('close', () => socket.destroy())
        })
      assert.equal(await isReady(), false)
      const tunnel = await open(agent.port)
      const asked = performance.now()
      if (claimed) await tunnel.listen(port, 'TCP', handler({}))
      await until('it is ready', isReady)
      // Without a claim it waits for one, and with one it does not.
      assert.equal(performance.now() - asked > 1_000, !claimed)
      agent.child.kill('SIGTERM')
      tunnel.release()
      await agent.exited
    }
  })

  it('serves the ports it was started with, and ends on SIGTERM when nobody waits for an answer', async () => {
    let answer: () => void = () => {}
    const asked = new Promise<void>((resolve) => {
      pods.on('connection', (socket) => {
        socket.on('data', (chunk) => {
          if (chunk.toString() === 'quick') socket.write('answer')
          else {
            answer = () => socket.end('late answer')
            resolve()
          }
        })
        socket.on('end', () => socket.end())
      })
    })
    await new Promise<void>((resolve) => pods.listen(0, '127.0.0.1', resolve))
    const original = { host: '127.0.0.1', port: (pods.address() as AddressInfo).port }
    const port = await freePort()
    const agent = await run({
      KT_AGENT_STAY_S: '0',
      KT_AGENT_PORTS: JSON.stringify([{ port, protocol: 'TCP', http: false, original }]),
    })
    const [idle, waiting] = [new Caller(port), new Caller(port)]
    idle.socket.write('quick')
    await idle.until(6)
    waiting.socket.write('slow')
    await asked
    agent.child.kill('SIGTERM')
    await idle.ended
    idle.socket.end()
    await idle.closed
    assert.equal(idle.error, undefined)
    assert.equal(waiting.socket.destroyed, false)
    answer()
    await waiting.ended
    waiting.socket.end()
    await waiting.closed
    assert.equal(waiting.text, 'late answer')
    assert.equal(waiting.error, undefined)
    // Its Job makes another pod for one that was ended, and would count itself as done after a 0.
    assert.equal(await agent.exited, 143)
    pods.close()
  })

  it('says which port it cannot have', async () => {
    await new Promise<void>((resolve) => pods.listen(0, '::', resolve))
    const { port } = pods.address() as AddressInfo
    const taken = JSON.stringify([{ port, protocol: 'TCP' }])
    await assert.rejects(
      run({ KT_AGENT_PORTS: taken }),
      new RegExp(`ended with 1: .*cannot listen on TCP port ${port}: .*EADDRINUSE`, 's'),
    )
    pods.close()
  })

  it('says what is missing', async () => {
    await assert.rejects(run({ KT_AGENT_DIR: '/nowhere' }), /cannot read host_key/)
    await assert.rejects(run({ KT_AGENT_PORT: 'x' }), /KT_AGENT_PORT must be a number/)
    await assert.rejects(
      run({ KT_AGENT_PORTS: '[{"port":0}]' }),
      /ended with 2: .*KT_AGENT_PORTS\[0\]: port must be a number/s,
    )
  })
})

const compiler = ['cc', 'gcc', 'clang'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})
const pingSkip =
  process.getuid?.() !== 0 ? 'needs root, for a network namespace' : compiler ? undefined : 'no C compiler'

describe('ping', { skip: pingSkip }, () => {
  it('is answered for who is there and for nobody else', async () => {
    const helper = join(folder, 'kt-ping')
    execFileSync(compiler!, ['-O2', '-Wall', '-Wextra', '-Werror', '-o', helper, join(root, 'shadow/kt-ping.c')])
    // In a namespace of its own, where the sysctl may be set as a pod has it; only the ssh connection has to get in there.
    const script = `
      ip link set lo up && echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range &&
      exec ${process.execPath} ${join(import.meta.dirname, 'ping-inside.ts')} ${bundle}`
    const output = execFileSync('unshare', ['-n', 'sh', '-c', script], {
      env: {
        ...process.env,
        KT_AGENT_DIR: folder,
        KT_AGENT_PORT: '0',
        KT_AGENT_PING: helper,
        KT_HOST: host.publicKey,
        KT_CLIENT: client.privateKey,
      },
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.deepEqual(JSON.parse(output), { capability: true, v4: true, v6: true, large: true, nobody: false })
  })
})
