// `kt shell` on a real cluster, as an ordinary user without sudo: what the program reaches, what becomes of its signals,
// and that nothing is left when any part of it ends.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ShellReport } from '../../src/control/protocol.ts'
import { realCluster, realMachine } from '../support/machine.ts'
import { checkout } from '../support/readable.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const LAPTOP = 'shl'
const kt = join(checkout, 'bin/kt')
/** A server of the laptop listens here on 127.0.0.1 alone, and answers with this. */
const OWN = 18_191
const OWN_ANSWER = 'a program of the laptop'

/** The holder is a child of the command. */
const parentOf = (pid: number) => Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' }))

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** One that runs, on the laptop as `dev`. */
class Running {
  readonly child: ChildProcess
  readonly exit: Promise<number | null>
  said = ''

  constructor(command: string) {
    this.child = spawn(program, ['laptop', '--as', LAPTOP, 'su', '-', 'dev', '-c', command], { stdio: 'pipe' })
    for (const output of [this.child.stdout!, this.child.stderr!])
      output.setEncoding('utf8').on('data', (text: string) => {
        this.said += text
      })
    this.exit = new Promise((resolve) => this.child.once('close', (code) => resolve(code)))
  }

  async says(pattern: RegExp): Promise<void> {
    await until(`it says ${pattern}`, () => pattern.test(this.said), 30_000).catch((error: Error) => {
      throw new Error(`${error.message}: ${this.said}`)
    })
  }
}

describe('kt shell', { skip }, () => {
  const laptop = realMachine(program, LAPTOP)
  const shell = (args: string[], script: string) => laptop.kt(['shell', ...args, '--', 'sh', '-c', script])
  const shells = async () => {
    const { stdout } = await laptop.kt(['status', '--json'])
    return (JSON.parse(stdout) as { shells: ShellReport[] }).shells
  }
  /** Processes of this checkout's shells, by their command lines. */
  const processes = () =>
    execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(checkout) && /kt-shell |holder\.js|worker\.js/.test(line))
  const noneLeft = (what: string) => until(`nothing is left of ${what}`, () => processes().length === 0, 4_000)
  let own: ChildProcess

  before(() => {
    const server = `require('http').createServer((q, s) => s.end('${OWN_ANSWER}')).listen(${OWN}, '127.0.0.1')`
    own = spawn(program, ['laptop', '--as', LAPTOP, process.execPath, '-e', server], { stdio: 'ignore' })
  })
  after(() => own?.kill())

  test('the cluster, the outside and the machine are reached, each by its own way', async () => {
    const code = (url: string) => `$(curl -s -m 10 -o /dev/null -w '%{http_code} %{exitcode}' ${url})`
    const { stdout, stderr } = await shell(
      ['-n', 'shop'],
      `echo "id $(id -u) $(grep CapEff /proc/self/status)"
      echo "short ${code('http://web/')}"; echo "full ${code('http://web.shop.svc.cluster.local/')}"
      echo "pod $(getent ahosts db-0.db.shop | grep -c STREAM)"
      echo "outside $(curl -s -m 10 http://www.example.com/)"; echo "refused ${code('http://203.0.113.80:81/')}"
      echo "loopback ${code(`http://127.0.0.1:${OWN}/`)}"; echo "machine $(curl -s -m 10 http://host.kt:${OWN}/)"
      echo "none ${code(`http://host.kt:${OWN + 1}/`)}"; echo "unknown $(getent hosts nothing.invalid || echo none)"
      ${kt} status | head -1`,
    )
    assert.match(
      stdout.replaceAll('\n', '; '),
      new RegExp(
        [
          'id \\d+ CapEff:\\t0+; short 200 0; full 200 0; pod [12]; outside a public page; refused 000 7',
          `loopback 000 7; machine ${OWN_ANSWER}; none 000 7; unknown none; state +connected for .*, inside of kt shell`,
        ].join('; '),
      ),
      stderr,
    )
    assert.equal(stderr, '')
  })

  test('two at once have their own namespaces, a route of the machine disturbs neither, and the end leaves nothing', async () => {
    await laptop.run(['ip', 'route', 'add', 'blackhole', '10.96.0.0/12'], { user: 'root' })
    try {
      const look =
        'curl -s -m 5 -o /dev/null -w "%{http_code}" http://web/; getent hosts web.shop > /dev/null; echo " $?"'
      const [shop, strict] = await Promise.all([shell(['-n', 'shop'], look), shell(['-n', 'strict'], look)])
      assert.deepEqual([shop.stdout, strict.stdout], ['200 0\n', '000 0\n'], shop.stderr + strict.stderr)
    } finally {
      await laptop.run(['ip', 'route', 'del', 'blackhole', '10.96.0.0/12'], { user: 'root' })
    }
    await noneLeft('both')
    assert.deepEqual(await shells(), [])
  })

  test('a port of the program is reached on this machine, and kt status lists the shell', async () => {
    const server = `require("http").createServer((q, s) => s.end("inside")).listen(80, "::1", () => console.log("listens"))`
    const held = new Running(
      `exec ${kt} shell -n shop --name mine -p 18192:80 -- ${process.execPath} -e ${quote(server)}`,
    )
    await held.says(/listens/)
    const { text } = await laptop.probe('get', { url: 'http://127.0.0.1:18192/', keepText: true })
    assert.equal(text, 'inside')
    const [report] = await shells()
    assert.deepEqual([report.name, report.ports, report.state], ['mine', [{ local: 18_192, inside: 80 }], 'connected'])
    process.kill(parentOf(report.pid), 'SIGTERM')
    assert.equal(await held.exit, 143, held.said)
    await noneLeft('it')
  })

  test('the terminal is the program’s: its size, Ctrl-C and its exit code', async () => {
    const script = 'stty size; trap "echo interrupted; exit 5" INT; echo begun; while :; do sleep 0.1; done'
    const command = `stty rows 33 cols 111; ${kt} shell -n shop -- sh -c ${quote(script)}`
    const held = new Running(`exec script -qec ${quote(command)} /dev/null`)
    await held.says(/33 111\s+begun/)
    held.child.stdin!.write('\x03')
    assert.equal(await held.exit, 5, held.said)
    assert.match(held.said, /interrupted/)
  })

  for (const victim of ['command', 'launcher', 'holder', 'kt'] as const)
    test(`SIGKILL of the ${victim} ends the rest`, async () => {
      const held = new Running(`exec ${kt} shell -n shop -- sh -c 'setsid sleep 1000 & echo begun; sleep 1000; true'`)
      await held.says(/begun/)
      const [report] = await shells()
      const children = (pid: number) =>
        execFileSync('ps', ['--ppid', String(pid), '-o', 'pid=,args='], { encoding: 'utf8' })
      const parent = parentOf(report.pid)
      const launcher = Number(/(\d+) \S*kt-shell/.exec(children(parent))![1])
      const command = Number(/(\d+) sh -c/.exec(children(launcher))![1])
      const pids = { command, launcher, holder: report.pid, kt: parent }
      process.kill(pids[victim], 'SIGKILL')
      await until(
        'nothing runs in the namespace',
        async () => {
          const found = execFileSync(
            'sh',
            ['-c', `ls -l /proc/[0-9]*/ns/net 2>/dev/null | grep -c '${report.networkNamespace}' || true`],
            { encoding: 'utf8' },
          )
          return found.trim() === '0'
        },
        2_500,
      )
      await noneLeft(victim)
      // kt ends as its program, or says what was lost.
      assert.equal(await held.exit, victim === 'holder' ? 1 : 137, held.said)
      if (victim === 'holder') assert.match(held.said, /ended unexpectedly/)
    })

  test('without /dev/net/tun one sentence says why, and the program gets a proxy', async () => {
    await laptop.run(['chmod', '600', '/dev/net/tun'], { user: 'root' })
    try {
      const { stdout, stderr, code } = await shell(
        ['-n', 'shop'],
        'curl -s -m 10 -o /dev/null -w "%{http_code}" http://web/; echo " $NODE_USE_ENV_PROXY"; exit 4',
      )
      assert.deepEqual([stdout, code], ['200 1\n', 4], stderr)
      assert.match(stderr, /\/dev\/net\/tun may not be opened by this user; the program gets a proxy/)
    } finally {
      await laptop.run(['chmod', '666', '/dev/net/tun'], { user: 'root' })
    }
    await noneLeft('it')
  })
})
