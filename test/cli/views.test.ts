// The full-screen views, on a terminal made of an object: what is drawn, how it ends, and that it leaves no trace.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { flowsTable } from '../../src/cli/flows-table.ts'
import { FlowsView } from '../../src/cli/flows-view.ts'
import { frameText, liveView, type ViewOptions } from '../../src/cli/live-view.ts'
import { StatusView } from '../../src/cli/status-view.ts'
import { own, terminalText } from '../../src/cli/terminal.ts'
import type { Status } from '../../src/control/protocol.ts'
import type { FlowReport } from '../../src/control/views.ts'
import { until } from '../support/until.ts'

class Terminal extends EventEmitter {
  readonly isTTY: boolean
  columns = 20
  rows = 4
  written = ''
  raw = false

  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }

  write(text: string): boolean {
    this.written += terminalText(text)
    return true
  }
}

class Keyboard extends EventEmitter {
  readonly isTTY = true
  raw: boolean | undefined
  setRawMode(raw: boolean) {
    this.raw = raw
    return this
  }
  resume = () => this
  pause = () => this
}

const options = (out: Terminal, input: Keyboard) => ({ out, input }) as unknown as ViewOptions
const plain = { isTTY: false } as NodeJS.WriteStream
const flow = (rest: Partial<FlowReport>): FlowReport => ({
  id: 1,
  protocol: 'tcp',
  state: 'ESTABLISHED',
  process: { pid: 42, name: 'curl' },
  local: '198.18.53.1:40000',
  remote: '10.96.0.7:80',
  name: 'web.shop',
  bytesIn: 0,
  bytesOut: 0,
  ageMs: 61_000,
  idleMs: 0,
  ...rest,
})

for (const key of ['q', '\x03'])
  test(`a view is drawn in place, again in another size, and ${key === 'q' ? 'q' : 'Ctrl-C'} leaves the terminal as it was`, async () => {
    const out = new Terminal(true)
    const input = new Keyboard()
    let pictures = 0
    const over = liveView(
      async ({ columns, rows }) => [`${columns}x${rows}`, `picture ${++pictures}`],
      options(out, input),
    )
    await until('two pictures', () => pictures > 1)
    assert.ok(out.written.startsWith('\x1b[?1049h\x1b[?25l'))
    assert.equal(input.raw, true)
    assert.equal(out.written.split('\x1b[2J').length, 2, 'wiped once, at the start')
    out.columns = 5
    out.written = ''
    out.emit('resize')
    assert.match(out.written, /20x4.*pictu\x1b/s)
    input.emit('data', Buffer.from(key))
    await over
    assert.ok(out.written.endsWith('\x1b[?25h\x1b[?1049l'))
    assert.equal(input.raw, false)
    assert.deepEqual(
      [out.listenerCount('resize'), input.listenerCount('data'), process.listenerCount('SIGINT')],
      [0, 0, 0],
    )
  })

test('an error restores the terminal before it is told', async () => {
  const out = new Terminal(true)
  const input = new Keyboard()
  await assert.rejects(
    liveView(() => Promise.reject(new Error('the engine is gone')), options(out, input)),
    /engine is gone/,
  )
  assert.ok(out.written.endsWith('\x1b[?1049l'))
  assert.equal(input.raw, false)
})

test('without a terminal the pictures are printed whole, without a control character', async () => {
  const out = new Terminal(false)
  const over = liveView(async () => ['x'.repeat(300)], options(out, new Keyboard()))
  await until('a picture', () => out.written !== '')
  process.emit('SIGTERM')
  await over
  assert.equal(out.written.split('\n\n')[0], 'x'.repeat(300))
  assert.doesNotMatch(out.written, /[\x00-\x09\x0b-\x1f]/)
})

test('lines and colours are cut at the border of the screen', () => {
  const dimmed = `${own('\x1b[2m')}abcdef${own('\x1b[0m')}`
  const frame = terminalText(frameText([dimmed, '2', '3', '4'], { columns: 3, rows: 3 }))
  assert.ok(frame.includes('\x1b[2mabc\x1b[0m\x1b[K\r\n2'))
  assert.ok(!frame.includes('4'))
  assert.ok(!frame.includes('\x1b[J'), 'a full screen has nothing below')
  assert.ok(terminalText(frameText(['1'], { columns: 3, rows: 3 })).includes('1\x1b[K\r\n\x1b[J'))
})

test('the table has a line a flow, with ? for what is not known', () => {
  const [head, first, second] = flowsTable([flow({ bytesIn: 1500 }), flow({ process: null, name: null })], plain)
  assert.match(head, /^PROGRAM +TO +ADDRESS +STATE +IN +OUT +AGE +IDLE$/)
  assert.match(first, /^curl\[42\] +web\.shop:80 +tcp 10\.96\.0\.7:80 +established +1\.5 kB +0 B +1 min +0 s$/)
  assert.match(second, /^\? +\? +tcp 10/)
})

test('a narrow window shortens names first, then leaves columns out and says which', () => {
  const long = flow({ name: `${'web'.repeat(20)}.shop`, process: { pid: 7, name: 'a-program-with-a-long-name' } })
  const at = (room: number) => flowsTable([long], plain, undefined, room)
  assert.equal(at(200).length, 2)
  assert.ok(at(110).every((line) => line.length <= 110))
  assert.match(at(110)[0], /IDLE$/)
  const narrow = at(80)
  assert.ok(narrow.slice(0, 2).every((line) => line.length <= 80))
  assert.match(narrow[0], /OUT$/)
  assert.equal(narrow[2], 'this window is too narrow for AGE, IDLE')
  assert.match(at(10)[0], /^PROGRAM/)
})

test('the name of a program cannot end its row or steer the terminal', () => {
  const [, row] = flowsTable([flow({ process: { pid: 7, name: 'a\n\x1b[2Jb\u202e' } })], plain)
  assert.match(row, /^a\\n\\x1b\[2Jb\\u202e\[7\] /)
})

test('watched flows show what moved since the picture before, the busiest first, and how many are left out', () => {
  const view = new FlowsView()
  const show = (flows: FlowReport[], now: number, rows = 50) =>
    view.lines({ flows, total: flows.length }, { rows, columns: 200 }, now, plain)
  show([flow({ id: 1 }), flow({ id: 2, bytesIn: 100 })], 1000)
  const lines = show([flow({ id: 1, bytesIn: 4000, bytesOut: 20 }), flow({ id: 2, bytesIn: 100 })], 3000)
  assert.match(lines[0], /^2 flows {3}2\.0 kB\/s in {3}10 B\/s out/)
  assert.match(lines[3], / 2\.0 kB +10 B +4\.0 kB/)
  assert.match(lines[4], / - +- +100 B/)
  const many = Array.from({ length: 30 }, (_, id) => flow({ id }))
  assert.equal(show(many, 4000, 10).length, 9)
  assert.equal(show(many, 5000, 10).at(-1), 'and 25 more')
  assert.match(show([], 6000)[2], /no program/)
})

test('the watched status draws the last minute, and counts from the second picture on', () => {
  const view = new StatusView()
  const at = (now: number, bytes: number) =>
    view.lines({ bytes: { in: bytes, out: 0 }, roundTripMs: 2 } as Status, ['state  connected'], now, plain)
  at(0, 5_000_000)
  for (let i = 1; i < 100; i++) at(i * 1000, 5_000_000 + (i === 99 ? 1000 : 0))
  const received = at(100_000, 5_003_000).find((line) => line.startsWith('received'))!
  assert.match(received, /█ {2}2\.0 kB\/s, most 2\.0 kB\/s$/)
})

test('a terminal that does not know its size is taken to be one of 80 by 24', async () => {
  const out = Object.assign(new Terminal(true), { columns: 0, rows: 0 })
  const input = new Keyboard()
  const over = liveView(async ({ columns, rows }) => [`${columns}x${rows}`], options(out, input))
  await until('a picture', () => out.written.includes('80x24'))
  input.emit('data', 'q')
  await over
})
