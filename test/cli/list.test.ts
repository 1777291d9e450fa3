// `kt list`, and the choice that `kt exchange` offers.
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { Dialogue } from '../../src/cli/choose.ts'
import { listLines, listWithHeld } from '../../src/cli/targets-table.ts'
import type { Held } from '../../src/control/protocol.ts'
import type { ListedTarget, TargetList } from '../../src/control/targets.ts'

const plain = { isTTY: false } as NodeJS.WriteStream
const NOW = Date.parse('2026-01-02T12:00:00Z')
const ago = (minutes: number) => new Date(NOW - minutes * 60_000).toISOString()

const service = (name: string, more: Partial<ListedTarget> = {}): ListedTarget => ({
  kind: 'service',
  name,
  type: 'ClusterIP',
  ports: [{ port: 80, protocol: 'TCP', name: 'http' }],
  ready: 1,
  total: 2,
  unfit: '',
  ...more,
})
const lease = (target: string, holder: string, more: Partial<TargetList['held'][number]> = {}) => ({
  kind: 'exchange' as const,
  mode: 'selector',
  target,
  holder,
  since: ago(90),
  version: null,
  ...more,
})
const held = (target: string, more: Partial<Held> = {}) =>
  ({
    kind: 'exchange',
    target,
    namespace: 'shop',
    context: 'dev',
    version: null,
    state: 'active',
    since: ago(3),
    ports: [{ local: 8080, remote: 80, protocol: 'TCP' }],
    ...more,
  }) as Held

const list = (targets: ListedTarget[], leases: TargetList['held'] = [], here: Held[] = [], notes: string[] = []) =>
  listWithHeld({ namespace: 'shop', context: 'dev', cluster: 'c', targets, held: leases, notes }, here)
const lines = (...of: Parameters<typeof list>) => listLines(list(...of), NOW, plain)

describe('kt list', () => {
  test('a table says what is free, who holds what since when, and what comes here', () => {
    assert.deepEqual(
      lines(
        [
          service('cart'),
          service('dns', {
            ports: [
              { port: 53, protocol: 'UDP', name: '' },
              { port: 53, protocol: 'TCP', name: '' },
            ],
            ready: null,
            total: null,
          }),
          service('ext', { ports: [], unfit: 'it has no selector' }),
          service('orders'),
          service('web'),
          service('worker', { kind: 'deployment' }),
        ],
        [
          lease('web', 'me@laptop'),
          lease('orders', 'ann@desk', { kind: 'mesh', version: 'kt-version: a' }),
          lease('orders', 'me@laptop', { kind: 'mesh', version: 'kt-version: b' }),
        ],
        [held('web'), held('orders', { kind: 'mesh', version: 'kt-version: b', state: 'reconnecting' })],
      ),
      [
        'namespace shop, context dev',
        'TARGET             PORTS       READY  STATE',
        'cart               80 (http)   1/2    free',
        'dns                53/udp, 53  -      free',
        'ext                -           1/2    cannot be exchanged: it has no selector',
        'orders             80 (http)   1/2    requests with kt-version: b come here, 80 -> localhost:8080, reconnecting for 3 min; meshed by ann@desk for 1 h 30 min, kt-version: a',
        'web                80 (http)   1/2    comes here, 80 -> localhost:8080, active for 3 min',
        'deployment/worker  80 (http)   1/2    free; exchange it with --mode scale',
      ],
    )
  })

  test('what comes here from another namespace is listed apart, a namesake there does not count here', () => {
    assert.deepEqual(lines([service('web')], [], [held('web', { namespace: 'other' })]).slice(2), [
      'web     80 (http)  1/2    free',
      '',
      'from elsewhere to this machine',
      'web.other  comes here, 80 -> localhost:8080, active for 3 min',
    ])
  })

  test('a port that is inside of a shell is not called one of this machine', () => {
    const [, , row] = lines([service('web')], [], [held('web', { shell: 'exchange-7' })])
    assert.equal(row, 'web     80 (http)  1/2    comes here, 80 -> port 8080 inside of exchange-7, active for 3 min')
  })

  test('a lease of something that is not there is listed too; nothing at all, and notes, are said', () => {
    assert.match(lines([], [lease('gone', 'ann@desk')])[2], /^gone {4}- {6}- {6}exchanged by ann@desk for 1 h 30 min$/)
    assert.deepEqual(lines([], [], [], ['no right to list services']).slice(1), [
      'nothing can be seen here that can be exchanged or forwarded',
      'note: no right to list services',
    ])
  })

  test('names from the cluster steer no terminal', () => {
    assert.ok(!/[\x1b\u202e]/.test(lines([service('a\x1b[2J')], [lease('a\x1b[2J', 'x\u202e')]).join('\n')))
  })
})

describe('the choice', () => {
  const choices = ['orders', 'orders-db', 'web'].map((name, i) => ({ value: i, name, detail: '80' }))
  const terminal = () => ({ input: new PassThrough(), output: new PassThrough() })

  for (const [typed, expected] of [
    ['2\n', 1],
    ['web\n', 2],
    ['w\n', 2],
    ['orders\n', 0],
    ['0\n7\n\nor\nx\n3\n', 2],
    ['db\n', 1],
    ['e\n3\n', 2],
  ] as const)
    test(`${JSON.stringify(typed)} chooses ${choices[expected].name}`, async () => {
      const it = terminal()
      using dialogue = new Dialogue(it)
      it.input.write(typed)
      assert.equal(await dialogue.choose('Which', choices), expected)
    })

  test('what is wrong with an answer is said, and what was typed ahead answers the next question', async () => {
    const it = terminal()
    using dialogue = new Dialogue(it)
    it.input.write('or\n1\nword\n')
    assert.equal(await dialogue.choose('Which', choices), 0)
    assert.equal(await dialogue.ask('And? ', (text) => ({ value: text })), 'word')
    assert.match(String(it.output.read()), / {2}1 {2}orders {5}80\n(?:.*\n)*.*several have or in their names\n/)
  })

  test('many choices fill no more than the terminal; a part of a name shows those that have it', async () => {
    const it = terminal()
    Object.assign(it.output, { rows: 12, columns: 30 })
    const many = Array.from({ length: 200 }, (_, i) => ({
      value: i,
      name: `svc-${i + 1}`,
      detail: '80 (http), 9000 (x)',
    }))
    using dialogue = new Dialogue(it)
    const asked = dialogue.choose('Which', many)
    const first = String(it.output.read()).split('\n')
    assert.deepEqual(
      [first[0], first[6]],
      ['  1  svc-1  80 (http), 9000 (x)', '  7  svc-7  80 (http), 9000 (x)'].map((line) => `${line.slice(0, 29)}…`),
    )
    assert.deepEqual(first.slice(7), [
      '  … and 193 more: a part of a name shows those that have it',
      'Which (1-200, or a name): ',
    ])
    it.input.write('c-20\n')
    await new Promise(setImmediate)
    assert.match(
      String(it.output.read()),
      /^ {3}20 {2}svc-20 .*\n {2}200 {2}svc-200 .*\nseveral have c-20 in their names\nWhich/,
    )
    it.input.write('200\n')
    assert.equal(await asked, 199)
  })

  for (const [how, leave] of [
    ['Ctrl-D', (it: ReturnType<typeof terminal>) => void it.input.end()],
    ['Ctrl-C', () => void process.emit('SIGINT')],
    ['a terminal that is gone', (it: ReturnType<typeof terminal>) => void it.input.destroy(new Error('EIO'))],
  ] as const)
    test(`${how} leaves it`, async () => {
      const it = terminal()
      using dialogue = new Dialogue(it)
      const asked = dialogue.choose('Which', choices)
      leave(it)
      await assert.rejects(asked, /nothing was chosen, and nothing was begun/)
    })

  test('nobody is asked where input or output is no terminal', () => {
    assert.equal(Dialogue.possible(terminal()), false)
    assert.equal(Dialogue.possible({ ...terminal(), input: Object.assign(new PassThrough(), { isTTY: true }) }), false)
  })
})
