// Configuration: what may be set, what is refused and in which words, and who beats whom.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, afterEach, test } from 'node:test'
import { Command } from 'commander'
import { commandLine } from '../../src/cli/command-line.ts'
import { collect, oneOf } from '../../src/cli/commands/common.ts'
import { applyConfiguration, variableOf } from '../../src/cli/config/apply.ts'
import { readConfiguration, writeConfiguration } from '../../src/cli/config/file.ts'
import { allKeys, allSettings } from '../../src/cli/config/keys.ts'

const home = mkdtempSync(join(tmpdir(), 'kt-config-'))
const file = join(home, 'kt/config.json')
after(() => rmSync(home, { recursive: true }))
afterEach(() => rmSync(dirname(file), { recursive: true, force: true }))

function kt(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync('bin/kt', args, {
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: `${resolve('bin')}:${process.env['PATH']}`,
      SUDO_UID: undefined,
      NO_COLOR: '1',
      XDG_CONFIG_HOME: home,
      ...env,
    },
  })
  return { status, stdout, stderr }
}

function write(content: object) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify(content))
}

test('set, get, show, unset; the file is 0600 and nothing lies beside it', () => {
  assert.equal(kt(['config', 'set', 'up.dns', 'none']).status, 0)
  assert.equal(kt(['config', 'set', 'exclude', '10.0.0.0/8', '192.168.0.0/16']).status, 0)
  assert.equal(kt(['config', '--profile', 'work', 'set', 'context', 'office']).status, 0)
  assert.equal(kt(['config', 'get', 'up.dns']).stdout, 'none\n')
  assert.equal(kt(['config', 'get', 'exclude']).stdout, '10.0.0.0/8\n192.168.0.0/16\n')
  assert.equal(kt(['config', '--profile', 'work', 'get', 'context']).stdout, 'office\n')
  assert.equal(
    kt(['config', 'show']).stdout,
    `file           ${file}\nup.dns         none\nexclude        10.0.0.0/8, 192.168.0.0/16\nwork: context  office\n`,
  )
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(dirname(file)), ['config.json'])
  assert.equal(kt(['config', '--profile', 'work', 'unset', 'context']).status, 0)
  assert.deepEqual(JSON.parse(kt(['config', 'show', '--json']).stdout).profiles, {})
  assert.equal(kt(['config', 'get', 'context']).status, 1)
})

test('unknown keys and values that the flag refuses are wrong usage, in two lines; nothing is written', () => {
  const refused = (...args: string[]) => {
    const { status, stderr, stdout } = kt(['config', ...args])
    assert.equal(status, 2, stderr)
    assert.equal(stdout, '')
    return stderr
  }
  assert.match(
    refused('set', 'colour', 'red'),
    /^error: there is no key "colour"\n {7}keys there: .*\bnamespace\b.*\n$/,
  )
  assert.match(
    refused('set', 'up.dns', 'maybe'),
    /^error: up.dns: expected one of auto, .*\n {7}`\S*kt up --help` .*\n$/,
  )
  assert.match(refused('set', 'ready-timeout', '0'), /whole number of seconds/)
  assert.match(refused('set', 'exclude', 'lan'), /address range/)
  assert.match(refused('set', 'namespace', 'a', 'b'), /takes one value, not 2/)
  assert.match(refused('set', 'up.foreground', 'perhaps'), /expected true or false/)
  assert.match(refused('--profile', '../x', 'set', 'dns', 'none'), /cannot be the name of a profile/)
  assert.match(refused('get', 'nothing.like.this'), /there is no key/)
  assert.equal(statSync(file, { throwIfNoEntry: false }), undefined)
})

test('a profile that is not there and a file that is broken say so; kt down works all the same', () => {
  write({ profiles: { work: {} } })
  const unknown = kt(['status', '--profile', 'home'])
  assert.equal(unknown.status, 2)
  assert.equal(unknown.stderr, 'error: there is no profile "home"\n       profiles there: work\n')
  assert.match(kt(['status'], { KT_PROFILE: 'home' }).stderr, /"home", which KT_PROFILE names/)
  write({ defaults: { dns: 'maybe' } })
  const bad = kt(['up'])
  assert.equal(bad.status, 2)
  assert.equal(
    bad.stderr.replaceAll(/`\S*\/bin\/kt /g, '`kt '),
    `error: dns in ${file} is "maybe": expected one of auto, resolved, resolvconf, none\n       \`kt config unset dns\` removes it, \`kt config set dns\` changes it\n`,
  )
  for (const text of ['{', '[]', '{"defaults":{"dns":1}}', '{"profiles":{"a":3}}']) {
    writeFileSync(file, text)
    assert.match(kt(['status']).stderr, new RegExp(`^error: ${file} .+\n {7}mend it, or remove it to start anew\n$`))
    assert.equal(kt(['version']).status, 0)
  }
})

test('a link to the file stays a link', () => {
  mkdirSync(dirname(file), { recursive: true })
  const real = join(home, 'real.json')
  writeFileSync(real, '{}')
  symlinkSync(real, file)
  writeConfiguration(file, { defaults: { dns: 'none' }, profiles: {} })
  assert.deepEqual(JSON.parse(readFileSync(real, 'utf8')).defaults, { dns: 'none' })
  assert.deepEqual(readConfiguration(file).defaults, { dns: 'none' })
})

/** Runs `kt GIVEN` of a small program and returns the options its action got. */
function options(given: string[], content: object, env: NodeJS.ProcessEnv = {}) {
  let got: Record<string, unknown> = {}
  const program = new Command('kt').option('--profile <name>').enablePositionalOptions()
  const up = program
    .command('up')
    .option('-n, --namespace <name>')
    .option('--kubeconfig <file>')
    .option('--dns <mode>', '', oneOf('auto', 'none'), 'auto')
    .option('--label <one>', '', collect)
    .option('--foreground')
    .option('--no-open')
    .option('--profile <name>')
    .option('--force')
    .action((values) => {
      got = values
    })
  program.hook('preAction', (_, command) =>
    applyConfiguration(command, { defaults: {}, profiles: {}, ...content }, env, 'FILE'),
  )
  program.parse(given, { from: 'user' })
  assert.deepEqual(allKeys(program).slice(0, 2), ['namespace', 'kubeconfig'])
  assert.ok(!allKeys(program).some((key) => key.includes('force')))
  const { profile: _, ...rest } = got
  assert.equal(up.name(), 'up')
  return rest
}

test('flags beat the environment, that the profile, that the defaults; one command beats all', () => {
  const content = {
    defaults: { dns: 'none', namespace: 'd' },
    profiles: { p: { namespace: 'p', 'up.namespace': 'one' } },
  }
  assert.deepEqual(options(['up'], {}), { dns: 'auto', open: true })
  assert.deepEqual(options(['up'], content), { dns: 'none', namespace: 'd', open: true })
  assert.deepEqual(options(['up'], content, { KT_PROFILE: 'p' }), { dns: 'none', namespace: 'one', open: true })
  for (const given of [
    ['--profile', 'p', 'up'],
    ['up', '--profile', 'p'],
  ])
    assert.deepEqual(options(given, content), { dns: 'none', namespace: 'one', open: true })
  assert.equal(options(['up'], content, { KT_PROFILE: 'p', KT_NAMESPACE: 'e' })['namespace'], 'e')
  assert.equal(options(['up', '-n', 'f'], content, { KT_PROFILE: 'p', KT_NAMESPACE: 'e' })['namespace'], 'f')
})

test('lists replace each other, switches go both ways, KUBECONFIG beats the file', () => {
  const defaults = { label: ['a', 'b'], foreground: true, 'no-open': true, kubeconfig: '/k' }
  assert.deepEqual(options(['up'], { defaults }), {
    dns: 'auto',
    label: ['a', 'b'],
    foreground: true,
    open: false,
    kubeconfig: '/k',
  })
  assert.deepEqual(options(['up', '--label', 'c'], { defaults })['label'], ['c'])
  assert.equal(options(['up'], { defaults }, { KUBECONFIG: '/other' })['kubeconfig'], undefined)
  assert.throws(() => options(['up'], {}, { KT_DNS: 'perhaps' }), /the variable KT_DNS is "perhaps": expected one of/)
})

test('KT_LOG and KT_SHELL are no defaults of --log and --shell, and kt config may set these flags all the same', () => {
  const env = { KT_LOG: 'debug', KT_SHELL: 'shell-1', KT_LOG_BODIES: '100' }
  for (const name of ['exchange', 'mesh', 'run']) {
    const command = commandLine().commands.find((one) => one.name() === name)!
    applyConfiguration(command, { defaults: {}, profiles: {} }, env, 'FILE')
    assert.deepEqual(
      [command.opts()['log'], command.opts()['shell'], command.opts()['logBodies']],
      [undefined, undefined, 100],
    )
    applyConfiguration(command, { defaults: { log: 'json', shell: true }, profiles: {} }, env, 'FILE')
    assert.deepEqual([command.opts()['log'], command.opts()['shell']], ['json', true])
  }
})

test('no flag takes its default from a variable that kt itself sets or reads for something else', () => {
  // The topics of `kt help` and the comment of apply.ts name variables of flags as examples. The agent runs in the pod.
  const files = globSync(['src/**/*.ts', 'native/*.c']).filter(
    (file) => !/^src\/(shadow|cli\/topics)\/|^src\/cli\/config\/apply\.ts$/.test(file),
  )
  const own = new Set(files.flatMap((file) => readFileSync(file, 'utf8').match(/\bKT_[A-Z_]+/g) ?? []))
  for (const variable of ['KT_LOG', 'KT_SHELL', 'KT_ROOT']) assert.ok(own.has(variable), variable)
  const ofFlags = allSettings(commandLine()).map(({ flag }) => variableOf(flag))
  assert.ok(ofFlags.includes('KT_NAMESPACE'))
  assert.deepEqual(
    ofFlags.filter((variable) => variable !== undefined && own.has(variable)),
    [],
  )
})
