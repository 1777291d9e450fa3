// Scenarios of helper.test.ts, in a namespace made there: node helper-scenarios.ts NAME.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.ts'

const main = fileURLToPath(new URL('./helper-main.ts', import.meta.url))
const state = {
  mtu: 16384,
  addresses: ['198.18.53.1/30', 'fd6b:7453:8e01::1/126'],
  routes: ['10.244.0.0/16', '10.96.0.0/16', 'fd00:10:244::/56'],
  dns: { mode: 'auto', servers: ['198.18.53.2'], domains: ['cluster.local'] },
}
const apply = { request: { op: 'apply', state } }
const ready = { say: { type: 'ready', message: 'connected' } }

type Line = { type: string; [key: string]: unknown }

class Helper {
  readonly child: ChildProcess
  readonly lines: Line[] = []
  readonly ended: Promise<number>
  #waiting: (() => void)[] = []
  #closed = false

  /** `program` is Node and the helper's script, where these lie elsewhere than ours. */
  constructor(commands: object[], more: string[] = [], [node, script] = [process.execPath, main]) {
    const args = [script, 'up', '--uid', '4711', '--gid', '4711', '--user', 'ktdev', ...more]
    this.child = spawn(node, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '', LANG: 'C.UTF-8', SECRET: 'x', KT_LOG: 'debug' },
    })
    this.child.stdin!.on('error', () => {})
    // As long as a configuration with a large environment in it.
    this.child.stdin!.write(`${JSON.stringify(commands)}${' '.repeat(500_000)}\n`)
    this.ended = once(this.child, 'exit').then(([code]) => code as number)
    const lines = createInterface({ input: this.child.stdout! })
    lines.on('line', (text) => {
      this.lines.push(JSON.parse(text) as Line)
      this.#wake()
    })
    lines.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async line(matches: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.lines.find(matches)
      if (found) return found
      if (this.#closed) assert.fail(`no such line; there were: ${JSON.stringify(this.lines)}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  type(type: string): Promise<Line> {
    return this.line((line) => line.type === type)
  }

  /** The end of the helper's output. */
  async closed(): Promise<void> {
    while (!this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async answer(): Promise<{ ok: boolean; applied: Record<string, unknown>; error: Record<string, string> }> {
    return (await this.line((line) => 'answer' in line))['answer'] as never
  }

  async enginePid(): Promise<number> {
    return (await this.line((line) => 'uid' in line))['pid'] as number
  }
}

const sh = (command: string) => execFileSync('sh', ['-c', command], { encoding: 'utf8' })

/** Everything that must be byte for byte as before. */
function machine(): string {
  return sh(
    `ip -4 route show table all; ip -6 route show table all | grep -v 'dev lo.*error' ; ip rule; ip -6 rule; ip -o link | cut -d: -f2; ip -o address;
     ls -l --time-style='+%F %T' /etc/resolv.conf /etc/hosts; md5sum /etc/resolv.conf /etc/hosts; ls -A /run/kt /var/lib/kt 2>/dev/null; ls -A /etc | grep kt- || true`,
  ).replace(/^\/(run|var\/lib)\/kt:\n\n?/gm, '')
}

const undo = (...more: string[]) =>
  JSON.parse(execFileSync(process.execPath, [main, 'undo', ...more], { encoding: 'utf8' })) as Record<string, string[]>

async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}/exe`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
    await new Promise((resolve) => setTimeout(resolve, 10))
}

const before = machine()
const who = { who: true }

const scenarios: Record<string, () => Promise<void>> = {
  async 'up-down'() {
    const helper = new Helper([who, { attach: true }, apply, ready])
    assert.deepEqual((await helper.answer()).applied, {
      tunName: 'kt0',
      dnsMode: 'resolvconf',
      upstreams: ['192.0.2.53'],
      search: ['corp.test'],
      notes: [],
      missingRoutes: [],
      domainsLeftOut: [],
    })
    await helper.type('ready')
    assert.match(sh('ip route get 10.96.0.10'), /dev kt0/)
    assert.match(sh('ip route get fd00:10:244::7'), /dev kt0/)
    assert.match(sh('ip link show kt0'), /mtu 16384 .*qlen 10000/)
    assert.match(
      sh('cat /etc/resolv.conf'),
      /^# kt is.*\nnameserver 198\.18\.53\.2\nsearch corp\.test\noptions timeout:1\n$/,
    )
    assert.equal(statSync('/run/kt/4711').uid, 4711)
    assert.equal(statSync('/run/kt/4711').mode & 0o777, 0o700)
    assert.equal(statSync('/var/lib/kt').mode & 0o777, 0o700)
    helper.child.kill('SIGTERM')
    assert.equal(await helper.ended, 0)
    assert.equal(machine(), before)
  },

  async 'engine-killed'() {
    const helper = new Helper([who, apply, ready])
    await helper.type('ready')
    process.kill(await helper.enginePid(), 'SIGKILL')
    await helper.ended
    assert.equal(machine(), before)
  },

  async 'both-killed'() {
    const first = new Helper([who, apply, ready])
    await first.type('ready')
    first.child.kill('SIGSTOP') // so that it does not see the engine's end first
    process.kill(await first.enginePid(), 'SIGKILL')
    first.child.kill('SIGKILL')
    await first.ended
    await gone(await first.enginePid())
    assert.notEqual(machine(), before)
    const { undone, failed } = undo()
    assert.deepEqual(failed, [])
    assert.ok(undone.includes('restore /etc/resolv.conf (file)'))
    assert.equal(machine(), before)
    assert.deepEqual(undo(), { undone: [], notes: [], failed: [] })

    const second = new Helper([who, apply, ready])
    await second.type('ready')
    second.child.kill('SIGKILL')
    await second.ended
    await gone(await second.enginePid()) // the fake engine ends with the channel, as the real one does
    const third = new Helper([who, apply, ready])
    assert.deepEqual((await third.answer()).applied['upstreams'], ['192.0.2.53'])
    await third.type('ready')
    third.child.kill('SIGTERM')
    await third.ended
    assert.equal(machine(), before)
  },

  async who() {
    const helper = new Helper([who, ready])
    const line = await helper.line((candidate) => 'uid' in candidate)
    assert.deepEqual([line['uid'], line['euid'], line['gid'], line['root']], [4711, 4711, 4711, false])
    assert.equal(line['groups'], '4711 4712')
    assert.equal(line['capabilities'], '0000000000000000')
    const env = line['env'] as Record<string, string>
    assert.deepEqual(Object.keys(env).sort(), ['HOME', 'KT_LOG', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'USER'])
    assert.deepEqual([env['HOME'], env['USER'], env['SHELL']], ['/tmp', 'ktdev', '/bin/sh'])
    helper.child.kill('SIGTERM')
    await helper.ended
    assert.equal(machine(), before)
  },

  async 'caller-gone'() {
    const helper = new Helper([who, apply])
    assert.equal((await helper.answer()).ok, true)
    helper.child.stdin!.end()
    await helper.ended
    assert.equal(machine(), before)
  },

  async crash() {
    const helper = new Helper([apply, { crash: true }])
    const failed = await helper.type('failed')
    assert.equal(failed['code'], 'engine-ended')
    assert.equal(await helper.ended, 1)
    assert.equal(machine(), before)
  },

  async refused() {
    const bad = { request: { op: 'apply', state: { ...state, routes: ['10.0.0.0/8 dev eth0'], run: 'reboot' } } }
    const helper = new Helper([bad, { say: { type: 'failed', code: 'x', message: 'm', hint: 'h' } }, { exit: 1 }])
    const { ok, error } = await helper.answer()
    assert.equal(ok, false)
    assert.equal(error['code'], 'bad-request')
    assert.deepEqual(await helper.type('failed'), { type: 'failed', code: 'x', message: 'm', hint: 'h' })
    assert.equal(await helper.ended, 1)
    assert.equal(helper.lines.filter((line) => line.type === 'failed').length, 1)
    assert.equal(machine(), before)
  },

  async conflict() {
    sh('ip route add 10.244.9.0/24 dev eth0')
    const withRoute = machine()
    const helper = new Helper([apply, { exit: 1 }])
    const { error } = await helper.answer()
    assert.equal(error['code'], 'route-conflict')
    assert.match(error['message'], /10\.244\.9\.0\/24 \(eth0\)/)
    assert.match(error['hint'], /--exclude 10\.244\.9\.0\/24/)
    await helper.ended
    sh('ip rule add to 10.96.0.0/16 lookup 77; ip route add 10.0.0.0/8 dev eth0 table 77; ip route del 10.244.9.0/24')
    const lost = new Helper([apply, { exit: 1 }])
    assert.equal((await lost.answer()).error['code'], 'route-lost')
    await lost.ended
    sh('ip rule del to 10.96.0.0/16 lookup 77; ip route flush table 77; ip route add 10.244.9.0/24 dev eth0')
    assert.equal(machine(), withRoute)
  },

  async detached() {
    const helper = new Helper([who, apply, ready])
    await helper.type('ready')
    await helper.closed()
    helper.child.stdin!.destroy()
    helper.child.kill('SIGHUP')
    assert.match(sh('ip route get 10.96.0.10'), /dev kt0/)
    // Its input is replaced a moment after its outputs, when Node has closed the stream.
    const links = () => sh(`for n in 0 1 2; do readlink /proc/${helper.child.pid}/fd/$n; done`)
    await until('its pipes are replaced', () => links() === '/dev/null\n/dev/null\n/dev/null\n')
    helper.child.kill('SIGTERM')
    assert.equal(await helper.ended, 0)
    assert.equal(machine(), before)
  },

  async deaf() {
    const helper = new Helper([{ deaf: true }, who, apply, ready], ['--foreground'])
    await helper.type('ready')
    const began = performance.now()
    helper.child.kill('SIGINT')
    await helper.line((line) => (line['got'] as { event?: string } | undefined)?.event === 'terminate')
    await helper.ended
    assert.ok(performance.now() - began > 9_000)
    assert.equal(machine(), before)
  },

  async rewritten() {
    const helper = new Helper([who, apply, ready], ['--foreground'])
    await helper.type('ready')
    const theirs = 'nameserver nobody\nnameserver 192.0.2.99\n'
    writeFileSync('/etc/resolv.conf.new', theirs)
    renameSync('/etc/resolv.conf.new', '/etc/resolv.conf')
    const line = await helper.line(
      (candidate) => (candidate['got'] as { event?: string })?.event === 'resolv-conf-changed',
    )
    assert.deepEqual(line['got'], {
      event: 'resolv-conf-changed',
      upstreams: ['192.0.2.99'],
      notes: ['/etc/resolv.conf: the line "nameserver nobody" is skipped, since it names no address'],
      reclaimed: true,
    })
    assert.match(readFileSync('/etc/resolv.conf', 'utf8'), /nameserver 198\.18\.53\.2/)
    helper.child.kill('SIGTERM')
    await helper.ended
    assert.equal(readFileSync('/etc/resolv.conf', 'utf8'), theirs)
  },

  async changed() {
    const helper = new Helper([who, apply, ready], ['--foreground'])
    await helper.type('ready')
    const repaired = (code: string) =>
      helper.line((line) => {
        const got = line['got'] as { event?: string; repaired?: { code: string }[] } | undefined
        return got?.event === 'machine' && got.repaired!.some((fault) => fault.code === code)
      })
    const whole = sh('ip -br address show dev kt0 | tr -s " "; ip route show dev kt0; ip -6 route show dev kt0')
    for (const [change, code] of [
      ['ip link set kt0 down', 'link'],
      ['ip address del 198.18.53.1/30 dev kt0', 'addresses'],
      ['ip route flush dev kt0; ip -6 route del fd00:10:244::/56 dev kt0', 'routes'],
    ]) {
      sh(change)
      await repaired(code)
      assert.equal(
        sh('ip -br address show dev kt0 | tr -s " "; ip route show dev kt0; ip -6 route show dev kt0'),
        whole,
      )
    }
    const kernel = () => helper.lines.filter(({ got }) => (got as { event?: string } | undefined)?.event === 'kernel')
    const seen = kernel().length
    sh('ip address add 192.0.2.102/24 dev eth0')
    await helper.line(() => kernel().length > seen)
    sh('ip address del 192.0.2.102/24 dev eth0')
    helper.child.kill('SIGTERM')
    await helper.ended
    assert.equal(machine(), before)
  },

  async 'mount-point'() {
    sh(
      "printf 'nameserver 192.0.2.53\\n# a rather long comment, longer than what takes its place: ................................................................................\\n' >/run/rc && mount --bind /run/rc /etc/resolv.conf",
    )
    const mounted = machine()
    const helper = new Helper([who, apply, ready])
    await helper.type('ready')
    assert.match(readFileSync('/etc/resolv.conf', 'utf8'), /^# kt is.*\nnameserver 198\.18\.53\.2\n$/)
    helper.child.kill('SIGTERM')
    await helper.ended
    assert.equal(machine(), mounted)
  },

  async 'two-at-once'() {
    const first = new Helper([who, apply, ready])
    await first.type('ready')
    const second = new Helper([ready])
    assert.equal((await second.type('failed'))['code'], 'already-running')
    assert.equal(await second.ended, 1)
    assert.match(sh('ip route get 10.96.0.10'), /dev kt0/)
    first.child.kill('SIGTERM')
    await first.ended
    assert.equal(machine(), before)
  },

  async closed() {
    sh('mkdir -p -m 700 /run/closed && mkdir /run/closed/kt && mount --rbind /run/checkout /run/closed/kt')
    const elsewhere = (path: string) => path.replace('/run/checkout', '/run/closed/kt')
    const helper = new Helper([ready], [], [elsewhere(process.execPath), elsewhere(main)])
    const { code, message, hint } = await helper.type('failed')
    assert.equal(code, 'closed-to-user')
    assert.equal(
      message,
      'kt runs as ktdev, who may not read it in /run/closed/kt: /run/closed is closed to other users',
    )
    assert.match(hint as string, /`sudo cp -aT \/run\/closed\/kt \/opt\/kt && sudo chmod -R go\+rX \/opt\/kt`/)
    assert.equal(await helper.ended, 1)
    assert.equal(machine(), before)
  },

  async 'disk-full'() {
    sh('mount -t tmpfs -o size=64k t /var/lib/kt && chmod 700 /var/lib/kt')
    const fill = () => sh('dd if=/dev/zero of=/var/lib/kt/filler bs=1k 2>/dev/null || true')
    const helper = new Helper([who, apply, ready])
    await helper.type('ready')
    fill()
    helper.child.kill('SIGTERM')
    assert.equal(await helper.ended, 0)
    assert.equal(sh('ls -A /var/lib/kt'), 'filler\n')

    const killed = new Helper([who, apply, ready])
    assert.match((await killed.type('failed'))['message'] as string, /\/var\/lib\/kt.*no space left/)
    assert.equal(await killed.ended, 1)
    sh('rm /var/lib/kt/filler')
    const second = new Helper([who, apply, ready])
    await second.type('ready')
    fill()
    second.child.kill('SIGKILL')
    await gone(await second.enginePid())
    assert.deepEqual(undo()['failed'], [])
    sh('umount /var/lib/kt')
    assert.equal(machine(), before)
  },

  async 'journal-broken'() {
    writeFileSync('/var/lib/kt/4711.json', '')
    const helper = new Helper([ready])
    const failed = await helper.type('failed')
    assert.equal(failed['code'], 'journal')
    assert.match(failed['message'] as string, /\/var\/lib\/kt\/4711\.json.*empty/)
    assert.deepEqual(undo()['unreadable'], [{ path: '/var/lib/kt/4711.json', why: 'it is empty' }])
  },

  async stopped() {
    for (const who_ of ['engine', 'helper', 'both']) {
      const helper = new Helper([who, apply, ready])
      await helper.type('ready')
      const engine = await helper.enginePid()
      if (who_ !== 'helper') process.kill(engine, 'SIGSTOP')
      if (who_ !== 'engine') helper.child.kill('SIGSTOP')
      const { undone, failed } = undo('--end', '4711')
      assert.deepEqual(failed, [])
      assert.match(undone.join(), /did not answer, was killed/)
      await helper.ended
      await gone(engine)
      assert.equal(machine(), before, who_)
    }
  },

  async 'no-run'() {
    sh('mount -o remount,ro /run/kt 2>/dev/null || (rmdir /run/kt && touch /run/kt)')
    const helper = new Helper([ready])
    const failed = await helper.type('failed')
    assert.equal(failed['code'], 'run-folder')
    assert.match(failed['hint'] as string, /ls -ld \/run\/kt/)
    assert.equal(await helper.ended, 1)
  },

  async 'no-tun'() {
    sh('mount -t tmpfs t /dev/net')
    const helper = new Helper([ready])
    const failed = await helper.type('failed')
    assert.equal(failed['code'], 'no-tun')
    assert.equal(await helper.ended, 1)
    assert.equal(machine(), before)
  },
}

// The folders are there from the first start on.
sh('install -d -m 755 /run/kt')
await scenarios[process.argv[2]]()
