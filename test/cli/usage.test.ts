import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Command } from 'commander'
import { commandLine } from '../../src/cli/command-line.ts'
import { newestLog } from '../../src/cli/commands/logs.ts'
import { hintFor } from '../../src/cli/other-tools.ts'

/** Runs the command line as a user does, with nothing running. */
function kt(...args: string[]) {
  const { status, stdout, stderr } = spawnSync('bin/kt', args, {
    encoding: 'utf8',
    env: { ...process.env, SUDO_UID: undefined, NO_COLOR: '1' },
  })
  return { status, stdout, stderr }
}
const engineRuns = kt('status').status !== 3

test('wrong usage is exit code 2 and two lines', () => {
  for (const args of [
    ['frobnicate'],
    ['up', '--dns', 'maybe'],
    ['up', '--include', '10.0.0.0/33'],
    ['up', '--exclude', 'lan'],
    ['up', '--label', 'x'],
    ['forward', 'web', 'eighty'],
    ['forward', 'web', '80:70000'],
    ['exchange', 'web'],
    ['exchange', '--expose', '8080:80'],
    ['mesh', '--expose', '8080:80'],
    ['exchange', '--', 'npm', 'run', 'dev'],
    ['exchange', 'web', '--expose', '8080:0'],
    ['exchange', 'web', '--expose', '8080:http,8081:HTTP'],
    ['run', 'mine', '--expose', '8080:http'],
    ['exchange', 'web', '--expose', '8080:80,8081:80'],
    ['exchange', 'web', '--expose', '8080:80', '--mode', 'ephemeral'],
    ['exchange', 'web', '--expose', '8080:80', '--shadow', 'sshd', '--image', 'x'],
    ['run', 'mine'],
    ['exchange', '--log', 'web', '--expose', '8080'],
    ['exchange', 'web', '--expose', '8080', '--log', '--background'],
    ['exchange', 'web', '--expose', '8080', '--log-bodies', '--background'],
    ['exchange', 'web', '--expose', '8080', '--log-bodies=70000'],
    ['run', 'web', '--port', '8080', '--log-bodies=0'],
    ['run', 'mine', '--port', '0'],
    ['run', 'Not_A_Service', '--port', '8080'],
    ['leave'],
    ['up', '--ready-timeout', '0'],
    ['up', '--line-wait', '86401'],
    ['up', '--shadow', 'sshd'],
    ['status', '--nope'],
    ['dns', 'query'],
    ['leave', ''],
    ['flows', '--filter', 'web'],
    ['flows', '--pcap', 'x', '--watch'],
    ['flows', '--pcap', '-', '--rotate-size', '5'],
    ['flows', '--pcap', 'x', '--rotate-size', '0'],
  ]) {
    const { status, stdout, stderr } = kt(...args)
    assert.equal(status, 2, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout, '')
    assert.match(stderr, /^error: .+\n {7}.+\n$/, args.join(' '))
  }
})

test('the words of a program are not taken for a TARGET', () => {
  for (const args of [
    ['exchange', '--', 'npm', 'run', 'dev'],
    ['mesh', '--', 'npm'],
  ])
    assert.match(kt(...args).stderr, /^error: kt (exchange|mesh) needs a TARGET\n/, args.join(' '))
})

test('a value that is refused is told with what is expected', () => {
  assert.match(
    kt('up', '--dns', 'maybe').stderr,
    /^error: option '--dns <mode>' argument 'maybe' is invalid: expected one of auto, resolved, resolvconf, none\n/,
  )
})

test('a number that is no port is told as that, and not as a wrong form', () => {
  for (const [args, number] of [
    [['exchange', 'web', '--expose', '0'], 0],
    [['exchange', 'web', '--expose', '8080:70000'], 70000],
    [['mesh', 'web', '--expose', '70000:80'], 70000],
    [['run', 'mine', '--port', '70000'], 70000],
    [['forward', 'web', '70000'], 70000],
    [['forward', 'web', '8080:0'], 0],
  ] as const) {
    const { stderr, status } = kt(...args)
    assert.equal(status, 2, args.join(' '))
    assert.match(
      stderr.split('\n')[0],
      new RegExp(`${number} (in ".*" )?is no port: ports are 1 to 65535`),
      args.join(' '),
    )
  }
})

test('every command takes the flags that choose a cluster, also a group of commands before its own command', () => {
  const walk = (command: Command): Command[] => [command, ...command.commands.flatMap(walk)]
  for (const command of walk(commandLine()).filter((one) => one.name() !== '__complete'))
    for (const flag of ['--namespace', '--context', '--kubeconfig', '--profile'])
      assert.ok(
        command.options.some(({ long }) => long === flag),
        `${command.name()} ${flag}`,
      )
  for (const args of [
    ['completion', '-n', 'x', 'bash'],
    ['config', '-n', 'x', 'show'],
    ['config', 'show', '--context', 'x'],
    ['help', '-n', 'x', 'dns'],
  ])
    assert.equal(kt(...args).status, 0, args.join(' '))
})

test('a flag of a group of commands counts as if it stood behind the command', () => {
  assert.match(kt('dns', '--profile', 'absent', 'status').stderr, /^error: there is no profile "absent"\n/)
  assert.match(kt('dns', 'status', '--profile', 'absent').stderr, /^error: there is no profile "absent"\n/)
})

test('a command that is called wrongly hints at its own help', () => {
  assert.match(
    kt('env').stderr,
    /^error: missing required argument 'target'\n {7}`\S*kt env --help` shows what it takes\n$/,
  )
  assert.match(kt('dns', 'query').stderr, /`\S*kt dns query --help` shows what it takes\n$/)
  assert.match(kt('--nope').stderr, /`\S*kt --help` and `\S*kt COMMAND --help` list what there is\n$/)
})

test('commands of other tools are explained, and none of them is a command of kt', () => {
  const unknown = (name: string) => hintFor(`error: unknown command '${name}'`)
  const usual = unknown('frobnicate')
  assert.notEqual(unknown('intercept'), usual)
  assert.match(unknown('exec'), /^`kt shell -- CMD` /)
  for (const name of commandLine().commands.flatMap((one) => [one.name(), ...one.aliases()]))
    assert.equal(unknown(name), usual, name)
  const keys = /const commands[^{]*\{([^}]*)\n\}/.exec(readFileSync('src/cli/other-tools.ts', 'utf8'))![1]
  const shown = commandLine().commands.map((one) => one.name())
  for (const [, name] of keys.matchAll(/`kt ([a-z]+)\b/g)) assert.ok(shown.includes(name), name)
})

test('exchange, mesh and run do not offer the sshd shadow, which they refuse; the others do', () => {
  const helpOf = (name: string) =>
    commandLine()
      .commands.find((one) => one.name() === name)!
      .helpInformation()
  for (const name of ['exchange', 'mesh', 'run']) assert.doesNotMatch(helpOf(name), /sshd/, name)
  for (const name of ['up', 'forward', 'proxy', 'shell']) assert.match(helpOf(name), /--shadow <kind>[^-]*sshd/, name)
  assert.match(
    kt('exchange', 'web', '--expose', '80', '--shadow', 'sshd', '--image', 'x').stderr,
    /^error: kt exchange needs kt's own agent in the shadow/,
  )
})

test('the help of a command tells each default once, in words', () => {
  for (const command of commandLine().commands) {
    const text = command.helpInformation().replaceAll(/\s+/g, ' ')
    assert.doesNotMatch(text, /preset:/, command.name())
    for (const line of text.split(/ (?=--?[a-z])/)) assert.ok(line.split('(default:').length <= 2, line)
  }
})

test('help and version are exit code 0, on stdout', () => {
  for (const args of [['--help'], ['up', '--help'], ['help', 'dns'], ['--version']]) {
    const { status, stdout } = kt(...args)
    assert.equal(status, 0)
    assert.notEqual(stdout, '')
  }
})

test('not connected is exit code 3, in words and as JSON', { skip: engineRuns && 'kt runs on this machine' }, () => {
  assert.equal(kt('status').status, 3)
  assert.equal(kt('dns', 'status').status, 3)
  const { status, stdout } = kt('status', '--json')
  assert.equal(status, 3)
  assert.equal(JSON.parse(stdout).state, 'disconnected')
})

test('kt down is exit code 0 when nothing runs', {
  skip:
    (engineRuns && 'kt runs on this machine') ||
    (process.getuid!() === 0 && 'as root it looks at /var/lib/kt of this machine'),
}, () => {
  assert.equal(kt('down').status, 0)
})

test('kt version tells its own without an engine', { skip: engineRuns && 'kt runs on this machine' }, () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  const { status, stdout } = kt('version', '--json')
  assert.equal(status, 0)
  const { kt: own, engine, shadow } = JSON.parse(stdout)
  assert.deepEqual({ own, engine, shadow }, { own: version, engine: null, shadow: null })
  assert.match(kt('version').stdout, /^kt {6}\S+ \(Node .+\)\nengine {2}not connected\n$/)
})

test('kt logs finds the log of XDG_STATE_HOME, and the usual one when that is newer', () => {
  const home = mkdtempSync(join(tmpdir(), 'kt-logs-'))
  try {
    const place = (folder: string, text: string, age: number) => {
      mkdirSync(join(home, folder, 'kt'), { recursive: true })
      const file = join(home, folder, 'kt/kt.log')
      writeFileSync(file, text)
      utimesSync(file, age, age)
    }
    const state = { XDG_STATE_HOME: join(home, 'state') }
    const logs = () => newestLog(home, state)
    place('.local/state', 'usual', 1000)
    assert.equal(logs(), join(home, '.local/state/kt/kt.log'))
    place('state', 'named', 2000)
    assert.equal(logs(), join(home, 'state/kt/kt.log'))
    place('.local/state', 'usual', 3000)
    assert.equal(logs(), join(home, '.local/state/kt/kt.log'))
  } finally {
    rmSync(home, { recursive: true })
  }
})
