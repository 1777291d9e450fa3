// Both ends of a line in virtual time, over connections that a test cuts, stalls and slows down, and a stream in each direction
// that is checked byte by byte.
import assert from 'node:assert/strict'
import { delay } from '../../src/base/clock.ts'
import { LineServer, MOST_PATHS, type OpenedLine } from '../../src/tunnel/line/agent.ts'
import { LineClient } from '../../src/tunnel/line/client.ts'
import { LineFrame, lineFrame, offsetBytes, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import type { Line } from '../../src/tunnel/line/line.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import type { Transport } from '../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { behindGreeting, Connection } from './line-world.ts'

/** mulberry32: a seeded source, so that a schedule can be seen again. */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Sends a counted stream as fast as the transport takes it, and checks the one that comes. */
export class Talker {
  sent = 0
  got = 0
  wrong: string | undefined
  closed: { error: Error | undefined } | undefined
  readonly transport: Transport

  constructor(transport: Transport) {
    this.transport = transport
    transport.start(
      (chunk) => {
        for (const byte of chunk) {
          if (byte !== byteAt(this.got)) this.wrong ??= `byte ${this.got} is ${byte}`
          this.got++
        }
      },
      (error) => (this.closed = { error }),
    )
  }

  send(bytes: number): void {
    const chunk = Buffer.alloc(bytes)
    for (let i = 0; i < bytes; i++) chunk[i] = byteAt(this.sent + i)
    this.sent += bytes
    this.transport.write(chunk)
  }
}

const byteAt = (offset: number) => (offset * 31 + (offset >>> 8)) & 255

interface Dialling {
  fails: boolean
  hangs: boolean
  alive: boolean
  spoilt: boolean
  code?: string
  shape?: Shape
  /** How long it takes. */
  dialMs?: number
  /** A connection is cut at this age, and its client knows that. */
  lifetimeMs?: number
  /** None is cut any more. */
  merciful?: boolean
  /** What somebody else says, who answers in the agent's place. */
  impostor?: Buffer
}

export interface World {
  time: VirtualTime
  client: LineClient
  near: Talker
  far: Talker
  server: LineServer
  connections: Connection[]
  /** Of each dial: when it began, and when it was given up. */
  dials: { at: number; givenUpAt?: number }[]
  /** When the cluster was asked whether the pod is there. */
  asked: number[]
  /** How far the time of day is ahead of the clock, ms. */
  wall: { ahead: number }
  /** What a dial does now. */
  dialling: Dialling
  log: string[]
  /** The agent's end of the line. */
  agent: Line
  /** Of the line, once it is secure. */
  key: Buffer | undefined
}

/** How fast a connection is, one way, bytes per ms; what the sender's kernel takes; delay one way. */
export interface Shape {
  rate: number
  buffer: number
  delayMs: number
}

interface WorldOptions {
  /** How many paths the client wants, and the agent can do. */
  paths?: number
  agentPaths?: number
  shape?: Shape
}

/** The agent's end of a path whose acknowledgements are wrong, if `dialling` says so. */
function misbehaving(path: Path, { spoilt }: { spoilt: boolean }): Path {
  if (!spoilt) return path
  const wrong = lineFrame(LineFrame.ack, offsetBytes(2 ** 40)).subarray(PATH_HEADROOM)
  return {
    ...path,
    send: (message, done) => {
      path.send(message, done)
      path.send(wrong, () => {})
    },
  }
}

/** The client's end of a connection that is cut at a known age. */
function mortal({ client }: Connection, time: VirtualTime, lifetimeMs: number): Path {
  const endsAt = time.now() + lifetimeMs
  const fate = () => {
    const endInMs = endsAt - time.now()
    return { moveInMs: endInMs - lifetimeMs / 4, endInMs, disprovedInMs: endInMs + 600 }
  }
  return { ...client, fate }
}

export async function world(
  seed = 1,
  secure = true,
  waitMs = 60_000,
  { paths, agentPaths = MOST_PATHS, shape }: WorldOptions = {},
): Promise<World> {
  const time = new VirtualTime()
  const random = seeded(seed)
  const connections: Connection[] = []
  const dialling: World['dialling'] = { fails: false, hangs: false, alive: true, spoilt: false, shape }
  const log: string[] = []
  const dials: World['dials'] = []
  const asked: number[] = []
  const wall = { ahead: 0 }
  let opened: OpenedLine | undefined
  const server = new LineServer({ clock: time, turns: time.turns, waitMs, log: (message) => log.push(message) })
  const dial = async (signal: AbortSignal) => {
    const dialled: World['dials'][number] = { at: time.now() }
    dials.push(dialled)
    signal.addEventListener('abort', () => (dialled.givenUpAt = time.now()))
    if (dialling.fails) throw Object.assign(new Error('no way there'), { cause: { code: dialling.code } })
    if (dialling.hangs) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const { shape, dialMs, impostor, lifetimeMs } = dialling
    if (dialMs) await delay(dialMs, signal, time)
    const connection = new Connection(
      time,
      () => (shape ? shape.delayMs : 5 + random() * 5),
      () => (shape ? 0 : random() ** 4 * 60),
    )
    for (const pipe of shape ? [connection.up, connection.down] : []) {
      pipe.rate = shape!.rate
      pipe.buffer = shape!.buffer
    }
    connections.push(connection)
    if (impostor) {
      connection.agent.start(
        () => connection.agent.send(impostor, () => {}),
        () => {},
      )
      return connection.client
    }
    server.serve(behindGreeting(misbehaving(connection.agent, dialling)), (one) => (opened = one))
    if (lifetimeMs === undefined) return connection.client
    time.after(lifetimeMs, () => {
      if (!dialling.merciful) connection.cut()
    })
    return mortal(connection, time, lifetimeMs)
  }
  const client = await LineClient.open(
    {
      clock: time,
      turns: time.turns,
      wall: () => time.now() + wall.ahead,
      random: (bytes) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256))),
      dial,
      paths,
      isAlive: async () => {
        asked.push(time.now())
        return dialling.alive
      },
      log: (message) => log.push(message),
    },
    new AbortController().signal,
  )
  let key: Buffer | undefined
  const near = new Talker(client.transport)
  await time.runUntil(() => opened !== undefined, 1_000)
  const far = new Talker(opened!.line)
  if (secure) {
    key = client.newKey()
    assert.equal(opened!.secure(key), true)
    client.secure(key, agentPaths)
  }
  return { time, client, near, far, server, connections, dials, asked, wall, dialling, log, key, agent: opened!.line }
}

export const whole = ({ near, far }: World) => near.got === far.sent && far.got === near.sent
export const fine = ({ near, far, connections }: World) =>
  near.wrong === undefined && far.wrong === undefined && connections.every(({ up, down }) => !up.spoilt && !down.spoilt)

/** 20 ms each way, 40 MB/s, and a kernel that takes 1 MB. */
export const LONG: Shape = { rate: 40_000, buffer: 1_000_000, delayMs: 20 }

/** A world whose line has two paths. */
export async function two(seed = 1, shape?: Shape): Promise<World> {
  const w = await world(seed, true, 1e9, { paths: 2, shape })
  assert.ok(await w.time.runUntil(() => isStriped(w), 1_000))
  return w
}

export const isStriped = ({ client, agent }: World) => client.report.paths.length === 2 && agent.isStriped
