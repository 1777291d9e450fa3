// Scenarios of helper-socket.test.ts, in a namespace made there: node helper-socket-scenarios.ts NAME. This process listens in
// systemd's place and gives each connection to a helper of its own, as a unit with Accept=yes does.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ownProgram } from '../../src/base/installation.ts'
import { VERSION } from '../../src/control/version.ts'

const main = fileURLToPath(new URL('./helper-main.ts', import.meta.url))
const path = '/run/helper.sock'
const self = { program: ownProgram, version: VERSION }
const up = { ...self, op: 'up', foreground: false }
const undo = { ...self, op: 'undo' }
const ready = { say: { type: 'ready', message: 'connected' } }
const who = { who: true }
const state = {
  mtu: 16384,
  addresses: ['198.18.53.1/30'],
  routes: ['10.244.0.0/16'],
  dns: { mode: 'auto', servers: ['198.18.53.2'], domains: ['cluster.local'] },
}
const apply = { request: { op: 'apply', state } }

type Line = { type: string; [key: string]: unknown }

/** Exit codes of the helpers so far. */
const exits: Promise<number>[] = []
const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
  const child = spawn(process.execPath, [main, 'serve'], { stdio: [socket, socket, 'inherit'] })
  exits.push(once(child, 'exit').then(([code]) => code as number))
  socket.destroy()
})

class Call {
  readonly socket: Socket
  readonly lines: Line[] = []
  #wake = () => {}
  #closed = false

  /** `uid` opens the connection. */
  constructor(uid: number, ...said: object[]) {
    // connect(2) is called at once, and the kernel notes the user of that moment.
    process.seteuid!(uid)
    this.socket = connect({ path, allowHalfOpen: true })
    process.seteuid!(0)
    this.socket.on('error', () => {})
    this.socket.write(said.map((line) => `${JSON.stringify(line)}\n`).join(''))
    const lines = createInterface({ input: this.socket })
    lines.on('line', (text) => {
      this.lines.push(JSON.parse(text) as Line)
      this.#wake()
    })
    lines.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  async line(matches: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.lines.find(matches)
      if (found) return found
      if (this.#closed) assert.fail(`no such line; there were: ${JSON.stringify(this.lines)}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  type(type: string): Promise<Line> {
    return this.line((line) => line.type === type)
  }
}

const interfaces = () => readdirSync('/sys/class/net').filter((name) => name.startsWith('kt'))
const runFolders = () => (existsSync('/run/kt') ? readdirSync('/run/kt') : [])
const nothingLeft = () => {
  assert.deepEqual(interfaces(), [])
  assert.deepEqual(runFolders(), [])
  assert.match(readFileSync('/etc/resolv.conf', 'utf8'), /^nameserver 192\.0\.2\.53\n/)
}

const scenarios: Record<string, () => Promise<void>> = {
  async 'as-caller'() {
    const call = new Call(4711, up, [who, ready])
    const line = await call.line((one) => 'uid' in one)
    assert.deepEqual([line['uid'], line['euid'], line['gid'], line['root']], [4711, 4711, 4711, false])
    assert.equal(line['groups'], '4711 4712')
    assert.equal(line['capabilities'], '0000000000000000')
    assert.equal((line['env'] as Record<string, string>)['USER'], 'ktdev')
    process.kill(line['pid'] as number, 'SIGTERM')
    await exits[0]
    nothingLeft()
  },

  async 'names-another'() {
    for (const call of [
      { ...up, uid: 0 },
      { ...up, user: 'root' },
      { ...up, log: '/etc/shadow' },
      { ...undo, end: 0 },
      { ...self, op: 'apply', state },
    ]) {
      const failed = await new Call(4711, call, [who, ready]).type('failed')
      assert.equal(failed['code'], 'bad-request', JSON.stringify(call))
    }
    const other = await new Call(4711, { ...up, version: '0.0.1' }, [who]).type('failed')
    assert.equal(other['code'], 'other-program')
    for (const exit of exits) assert.equal(await exit, 1)
    nothingLeft()
  },

  async 'undo-own'() {
    const call = new Call(4711, up, [who, apply, ready])
    const { pid } = await call.line((one) => 'uid' in one)
    await call.type('ready')
    const others = await new Call(4713, undo).type('undone')
    assert.deepEqual(others['undone'], [])
    assert.deepEqual(interfaces(), ['kt0'])
    assert.ok(existsSync(`/proc/${pid}`))
    // Stopped, it cannot say good-bye: it is ended by force.
    process.kill(pid as number, 'SIGSTOP')
    const own = await new Call(4711, undo).type('undone')
    assert.match((own['undone'] as string[]).join('\n'), /kt's engine, which did not answer, was killed/)
    await exits[0]
    nothingLeft()
  },

  async 'left-alone'() {
    const going = new Call(4711, up, [who, apply])
    await going.line((one) => 'answer' in one)
    going.socket.end()
    await exits[0]
    nothingLeft()

    const staying = new Call(4711, up, [who, apply, ready])
    const { pid } = await staying.line((one) => 'uid' in one)
    await staying.type('ready')
    // The helper lets the socket go by itself.
    await once(staying.socket, 'end')
    staying.socket.destroy()
    assert.deepEqual(interfaces(), ['kt0'])
    process.kill(pid as number, 'SIGTERM')
    await exits[1]
    nothingLeft()
  },

  async 'one-each'() {
    const first = new Call(4711, up, [who, ready])
    const { pid } = await first.line((one) => 'uid' in one)
    await first.type('ready')
    assert.equal((await new Call(4711, up, [who, ready]).type('failed'))['code'], 'already-running')
    const other = new Call(4713, up, [who, ready])
    const { uid, pid: theirs } = await other.line((one) => 'uid' in one)
    assert.equal(uid, 4713)
    await other.type('ready')
    for (const one of [pid, theirs]) process.kill(one as number, 'SIGTERM')
    await Promise.all(exits)
    nothingLeft()
  },
}

server.listen(path)
await once(server, 'listening')
chmodSync(path, 0o666)
execFileSync('ip', ['link', 'set', 'lo', 'up'])
await scenarios[process.argv[2]]()
process.exit(0)
