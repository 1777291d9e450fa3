import assert from 'node:assert/strict'
import { LineServer } from '../../../src/tunnel/line/agent.ts'
import { LineClient } from '../../../src/tunnel/line/client.ts'
import { receive } from '../../../src/tunnel/line/door.ts'
import { GREETING, lineFrame, MAX_PAYLOAD, PATH_HEADROOM } from '../../../src/tunnel/line/frames.ts'
import type { Path } from '../../../src/tunnel/transport/path.ts'
import type { Transport } from '../../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import { Connection } from '../../tunnel/line-world.ts'
import type { Area } from '../area.ts'
import { Random } from '../random.ts'
import { joinSteps, readSteps, type Step } from '../steps.ts'

/** Kinds of steps. Somebody who has no key opens a path to the agent and says this. */
const STRANGER = 0
/** The same, with the beginning of our last path, which was overheard; these bytes are laid over it. */
const OVERHEARD = 1
const TALK_UP = 2
const TALK_DOWN = 3
const CUT = 4
const WAIT = 5
/** The next path leads to somebody who says this. */
const OTHER_AGENT = 6
/** Bytes on the next path are changed on their way. */
const CHANGED = 7
const KINDS = [STRANGER, STRANGER, OVERHEARD, TALK_UP, TALK_UP, TALK_DOWN, CUT, CUT, WAIT, OTHER_AGENT, CHANGED]

/** Stands for the id of our line, which an eavesdropper knows. */
const OUR_ID = Buffer.alloc(16, 0xaa)
const ID_AT = GREETING.length + 4
/** Strangers are gone, and our line has taken another path, after this. */
const SETTLED_MS = 20_000
/** Paths that one line may try in one input. */
const MOST_PATHS = 2000

/** Counts what it sends and compares what comes with what was sent. */
class Talker {
  sent = 0
  got = 0
  wrong = false
  closed = false
  readonly transport: Transport

  constructor(transport: Transport) {
    this.transport = transport
    transport.start(
      (chunk) => {
        for (const byte of chunk) if (byte !== (this.got++ & 0x7f)) this.wrong = true
      },
      () => (this.closed = true),
    )
  }

  send(bytes: number): void {
    const chunk = Buffer.alloc(bytes)
    for (let i = 0; i < bytes; i++) chunk[i] = this.sent++ & 0x7f
    if (!this.closed) this.transport.write(chunk)
  }
}

/** The path, with a mask laid over what comes at one place. */
function changed(path: Path, mask: Buffer): Path {
  const at = mask.length < 2 ? 0 : mask.readUInt16BE(0) % 400
  let passed = 0
  return {
    ...path,
    start: (onData, onClose) =>
      path.start((chunk) => {
        const bytes = Buffer.from(chunk)
        for (let i = 2; i < mask.length; i++)
          if (passed <= at + i && at + i < passed + bytes.length) bytes[at + i - passed] ^= mask[i]
        passed += bytes.length
        onData(bytes)
      }, onClose),
  }
}

async function attempt(input: Buffer): Promise<void> {
  const time = new VirtualTime()
  const random = new Random(input.length)
  const connections: Connection[] = []
  const sides: Talker[] = []
  const server = new LineServer({ clock: time, turns: time.turns, waitMs: 60_000, log() {} })
  let secure: ((key: Buffer) => boolean) | undefined
  let next: Step | undefined
  const other: Connection[] = []
  const dial = async () => {
    const connection = new Connection(time, () => 2 + random.int(5))
    connections.push(connection)
    assert.ok(connections.length < MOST_PATHS, 'one path after another is tried')
    const step = next
    next = undefined
    if (step?.kind === OTHER_AGENT) {
      other.push(connection)
      connection.agent.start(
        () => {},
        () => {},
      )
      connection.agent.send(step.body, () => {})
      time.after(1000, () => connection.cut())
      return connection.client
    }
    const changes = step?.kind === CHANGED && step.body.length > 0 ? step.body : undefined
    const up = changes && (changes[0] & 1) === 0
    const path = up ? changed(connection.agent, changes) : connection.agent
    receive(path, time, {
      ssh: (plain) => plain.destroy(),
      line: (greeted) =>
        server.serve(greeted, (opened) => {
          secure ??= opened.secure
          sides.push(new Talker(opened.line))
        }),
    })
    return changes && !up ? changed(connection.client, changes) : connection.client
  }
  const client = await LineClient.open(
    {
      clock: time,
      turns: time.turns,
      wall: () => time.now(),
      random: (bytes) => Buffer.from(Array.from({ length: bytes }, () => random.int(256))),
      dial,
      paths: 2,
      isAlive: async () => true,
      log: (line) => assert.doesNotMatch(line, /^internal error/),
    },
    new AbortController().signal,
  )
  const near = new Talker(client.transport)
  assert.ok(await time.runUntil(() => sides.length > 0, 1000))
  const [far] = sides
  const key = client.newKey()
  assert.ok(secure?.(key))
  client.secure(key, 2)

  const ours = Buffer.concat(connections[0].up.seen).subarray(ID_AT, ID_AT + OUR_ID.length)
  const strangers: Connection[] = []
  const stranger = (said: Buffer) => {
    const connection = new Connection(time, () => 1)
    strangers.push(connection)
    connection.client.start(
      () => {},
      () => {},
    )
    server.serve(connection.agent, ({ line }) => new Talker(line))
    if (said.length > 0) connection.client.send(said, () => {})
  }
  let honestWay = true
  for (const step of readSteps(input)) {
    const { kind, body } = step
    if (kind === STRANGER) stranger(withOurId(body, ours))
    else if (kind === OVERHEARD) {
      const [heard = Buffer.alloc(0)] = connections.at(-1)!.up.seen
      const said = Buffer.from(heard.subarray(GREETING.length))
      for (let i = 0; i < Math.min(said.length, body.length); i++) said[i] ^= body[i]
      stranger(said)
    } else if (kind === TALK_UP) near.send(1 + body.length * 50)
    else if (kind === TALK_DOWN) far.send(1 + body.length * 50)
    else if (kind === CUT) connections.at(-1)!.cut()
    else if (kind === OTHER_AGENT || kind === CHANGED) {
      next = step
      honestWay = false
    } else await time.run((body[0] ?? 0) * 4)
  }
  for (const one of strangers) one.cut()
  const whole = () => near.got === far.sent && far.got === near.sent
  await time.runUntil(() => whole() || near.closed, SETTLED_MS)
  if (honestWay) {
    assert.ok(
      whole() && !near.wrong && !far.wrong,
      `of ${near.sent} bytes up ${far.got}, of ${far.sent} down ${near.got}`,
    )
    assert.ok(!near.closed && !far.closed, 'the line was ended by somebody else')
    await time.run(1000)
    assert.equal(server.size, 1, 'lines of strangers that are gone')
  }
  client.transport.destroy()
  await time.run(1000)
  assert.ok(near.closed)
}

function withOurId(body: Buffer, ours: Buffer): Buffer {
  const said = Buffer.from(body)
  for (let at = said.indexOf(OUR_ID); at >= 0; at = said.indexOf(OUR_ID)) said.set(ours, at)
  return said
}

const offset = (random: Random): Buffer => {
  const bytes = Buffer.alloc(6)
  bytes.writeUIntBE(random.pick([0, 1, 50, 1000, 2 ** 32, 2 ** 48 - 1, random.edge()]), 0, 6)
  return bytes
}

function frame(random: Random): Buffer {
  const id = random.chance(70) ? OUR_ID : random.bytes(20)
  const body = random.pick([
    () => [id],
    () => [id, offset(random), offset(random), Buffer.alloc(32, random.int(256))],
    () => [offset(random), Buffer.alloc(32)],
    () => [offset(random), offset(random), random.bytes(100)],
    () => [offset(random)],
    () => [Buffer.from([1 + random.int(4)]), Buffer.from('words')],
    () => [random.bytes(40)],
  ])()
  const bytes = lineFrame(random.chance(95) ? 1 + random.int(10) : random.int(256), ...body).subarray(PATH_HEADROOM)
  if (random.chance(8)) bytes.writeUIntBE(random.pick([0, 3, 511, 513, MAX_PAYLOAD + 12, 0xffffff]), 1, 3)
  return bytes
}

function step(random: Random): Step {
  const kind = random.pick(KINDS)
  if (kind === STRANGER || kind === OTHER_AGENT) {
    const frames = Array.from({ length: 1 + random.int(4) }, () => frame(random))
    return { kind, body: Buffer.concat(frames) }
  }
  return {
    kind,
    body: kind === OVERHEARD && random.chance(30) ? Buffer.alloc(1) : random.bytes(kind === WAIT ? 1 : 70),
  }
}

export default {
  about: 'the line, with strangers, eavesdroppers and other agents: ours goes on with every byte once, and theirs end',
  make: (random) => joinSteps(Array.from({ length: 1 + random.int(12) }, () => step(random))),
  start: () => ({ attempt }),
} satisfies Area
