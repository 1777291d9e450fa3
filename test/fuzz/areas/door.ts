import assert from 'node:assert/strict'
import { receive } from '../../../src/tunnel/line/door.ts'
import { GREETING } from '../../../src/tunnel/line/frames.ts'
import type { Path } from '../../../src/tunnel/transport/path.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'

const BEGINNINGS = [
  'SSH-2.0-kt',
  'SSH-2.0-',
  'SSH-1.99-',
  'ssh-2.0-',
  'GET / HTTP/1.1',
  'KTLINE2\n',
  'KTLINE1',
  '',
  'S',
  'K',
]

/** What the door makes of a connection that brings these pieces and then falls silent. */
async function read(pieces: readonly Buffer[]): Promise<string[]> {
  const time = new VirtualTime()
  const seen: string[] = []
  let told = ''
  let bring: ((chunk: Buffer) => void) | undefined
  let over: ((error: Error | undefined) => void) | undefined
  const path: Path = {
    framing: { headroom: 0, alters: false, seal: (_slab, start) => start },
    send: (_message, done) => done(),
    start: (onData, onClose) => {
      bring = onData
      over = onClose
    },
    end() {},
    destroy() {
      if (over) seen.push('closed')
      const close = over
      over = undefined
      close?.(undefined)
    },
  }
  const guest = (what: string) => (handed: Path) => {
    seen.push(what)
    handed.start(
      (chunk) => (told += chunk.toString('latin1')),
      () => seen.push('the guest hears of the end'),
    )
  }
  receive(path, time, { ssh: guest('ssh'), line: guest('line') })
  for (const piece of pieces) if (over) bring?.(piece)
  await time.run(60_000)
  if (told !== '') seen.push(told)
  return seen
}

async function attempt(input: Buffer, random: Random): Promise<void> {
  const whole = await read([input])
  assert.deepEqual(await read(random.cut(Buffer.from(input))), whole)
  const text = input.toString('latin1')
  const greeted = text.startsWith(GREETING.toString('latin1'))
  const plain = text.startsWith('SSH-2.0-')
  const rest = greeted ? text.slice(GREETING.length) : text
  if (greeted || plain) assert.deepEqual(whole, [greeted ? 'line' : 'ssh', ...(rest === '' ? [] : [rest])])
  else assert.deepEqual(whole, ['closed'], 'what is neither, or says nothing, is closed')
}

export default {
  about:
    'the first bytes of a connection to the agent: a line, a plain session, or closed; the same however they are cut',
  make: (random) =>
    Buffer.concat([random.chance(30) ? GREETING : Buffer.from(random.pick(BEGINNINGS)), random.bytes(random.int(20))]),
  start: () => ({ attempt }),
} satisfies Area
