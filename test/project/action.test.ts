// The steps of GitHub Actions, run as the runner does: action.yml is read, and each of its scripts runs in bash with the
// runner's files. The release is a folder, and kt in it a script that says what it was asked for.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { load } from 'js-yaml'
import { missing } from '../support/programs.ts'

interface Action {
  inputs?: Record<string, { default?: string; required?: boolean }>
  runs: { using: string; steps: { id?: string; shell: string; run: string; env?: Record<string, string> }[] }
}

const folder = mkdtempSync(join(tmpdir(), 'kt action-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const skip = missing('bash') || missing('curl') || missing('setsid')
const arch = process.arch === 'arm64' ? 'arm64' : 'x64'

/** kt, as far as the action sees it. Its words are in the file `asked`. */
const KT = `#!/bin/sh
echo "kt $*" >>"$ASKED"
case $1 in
  --version) echo 9.9.9 ;;
  up) [ "$2" != broken ] || exit 1 ;;
  proxy)
    [ -z "$KT_TEST_BROKEN" ] || { echo 'error: there is no kubeconfig'; exit 1; }
    exec "${process.execPath}" -e '
      const server = require("node:http").createServer((_, answer) => answer.end("PAC")).listen(Number(process.argv[3]), "127.0.0.1")
      process.on("SIGTERM", () => { console.log("everything is put back"); process.exit() })
    ' proxy "$2" "$3" ;;
esac
`

let workflow: Workflow
beforeEach(() => {
  workflow = new Workflow(mkdtempSync(join(folder, 'job-')))
})

/** One job on a runner: what its steps write is there for the next. */
class Workflow {
  readonly folder: string
  #env: Record<string, string> = {}
  #path = `${process.env['PATH']}`
  readonly outputs: Record<string, string> = {}

  constructor(folder: string) {
    this.folder = folder
    mkdirSync(join(folder, 'temp'))
  }

  get env(): Readonly<Record<string, string>> {
    return this.#env
  }

  asked(): string[] {
    const file = join(this.folder, 'asked')
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
  }

  get program(): string {
    return join(this.folder, `temp/kt/9.9.9/${arch}/kt`)
  }

  installed(): boolean {
    return existsSync(this.program)
  }

  /** A step with `uses`, up to the first script that fails. */
  uses(path: string, inputs: Record<string, string> = {}, more: Record<string, string> = {}) {
    const action = load(readFileSync(join(path, 'action.yml'), 'utf8')) as Action
    assert.equal(action.runs.using, 'composite')
    const value = (name: string) => inputs[name] ?? action.inputs?.[name]?.default ?? ''
    for (const name of Object.keys(inputs)) assert.ok(action.inputs?.[name], `there is no input ${name}`)
    let said = ''
    for (const { shell, run, env = {} } of action.runs.steps) {
      assert.equal(shell, 'bash')
      assert.doesNotMatch(run, /\$\{\{/, 'an expression in a script could be anybody’s command')
      const own = Object.entries(env).map(([name, text]) => [
        name,
        text.replace(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_, input: string) => value(input)),
      ])
      const { status, stdout, stderr } = this.#script(run, {
        ...Object.fromEntries(own),
        ...more,
        GITHUB_ACTION_PATH: resolve(path),
      })
      said += stdout + stderr
      if (status !== 0) return { status, said }
    }
    return { status: 0, said }
  }

  #script(run: string, env: Record<string, string>) {
    const files = ['GITHUB_ENV', 'GITHUB_PATH', 'GITHUB_OUTPUT'].map((name) => [name, join(this.folder, name)] as const)
    for (const [, file] of files) writeFileSync(file, '')
    const script = join(this.folder, 'step.sh')
    writeFileSync(script, run)
    const result = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', script], {
      encoding: 'utf8',
      timeout: 60_000,
      cwd: this.folder,
      env: {
        ...{
          PATH: this.#path,
          HOME: this.folder,
          RUNNER_TEMP: join(this.folder, 'temp'),
          ASKED: join(this.folder, 'asked'),
        },
        ...Object.fromEntries(files),
        ...this.#env,
        ...env,
      },
    })
    const pairs = (name: string) =>
      readFileSync(join(this.folder, name), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const)
    this.#env = { ...this.#env, ...Object.fromEntries(pairs('GITHUB_ENV')) }
    Object.assign(this.outputs, Object.fromEntries(pairs('GITHUB_OUTPUT')))
    for (const line of readFileSync(join(this.folder, 'GITHUB_PATH'), 'utf8').split('\n').filter(Boolean))
      this.#path = `${line}:${this.#path}`
    return result
  }
}

const sha256 = createHash('sha256').update(KT).digest('hex')
const release = (name: string, sums: string) => {
  const place = join(folder, name, 'v9.9.9')
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, `kt-linux-${arch}`), KT)
  writeFileSync(join(place, 'SHA256SUMS'), sums)
  return { version: '9.9.9', 'release-url': `file://${join(folder, name).replaceAll(' ', '%20')}/` }
}
const good = () => release('good', `${'0'.repeat(64)}  kt-9.9.9.tgz\n${sha256}  kt-linux-${arch}\n`)

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}

test('it installs, connects with what it was given, and disconnects', {
  skip: skip || (process.getuid?.() !== 0 && missing('sudo')),
}, () => {
  const connected = workflow.uses(
    'action',
    { ...good(), namespace: 'shop', args: '--exclude\n10.0.0.0/8\n\n--label\nci=a b' },
    FREE_SUDO,
  )
  assert.deepEqual([connected.status, workflow.env['KT_CONNECTED']], [0, 'up'], connected.said)
  assert.equal(workflow.uses('action/down').status, 0)
  assert.deepEqual(workflow.asked(), [
    'kt --version',
    'kt up --namespace shop --exclude 10.0.0.0/8 --label ci=a b',
    'kt down',
  ])
  // Once more is nothing to do.
  assert.deepEqual(workflow.uses('action/down'), { status: 0, said: 'kt is not connected\n' })
})

/** A function of bash in the environment: sudo as on a runner that asks for no password. */
const FREE_SUDO = { 'BASH_FUNC_sudo%%': '() { true; }' }
const NO_SUDO = { 'BASH_FUNC_sudo%%': '() { false; }', 'BASH_FUNC_id%%': '() { echo 1000; }' }

test('without root, mode up says what to do instead, and mode none only installs', { skip }, () => {
  const { status, said } = workflow.uses('action', good(), NO_SUDO)
  assert.equal(status, 1)
  assert.match(said, /^::error::mode up needs root or sudo .* use mode proxy$/m)
  assert.equal(workflow.uses('action', { ...good(), mode: 'none' }, NO_SUDO).status, 0)
  assert.deepEqual(new Set(workflow.asked()), new Set(['kt --version']))
  assert.match(workflow.uses('action', { ...good(), mode: 'vpn' }).said, /::error::there is no mode vpn/)
})

test('mode proxy needs no root, goes on after its step, and is ended with everything put back', {
  skip,
  timeout: 90_000,
}, async () => {
  const port = await freePort()
  const { status, said } = workflow.uses('action', { ...good(), mode: 'proxy', port }, NO_SUDO)
  assert.equal(status, 0, said)
  assert.equal(workflow.env['KT_HTTP_PROXY'], `http://127.0.0.1:${port}`)
  assert.equal(workflow.outputs['proxy'], `127.0.0.1:${port}`)
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/proxy.pac`)).text(), 'PAC')
  const down = workflow.uses('action/down')
  assert.deepEqual(down, { status: 0, said: 'everything is put back\n' })
  await assert.rejects(fetch(`http://127.0.0.1:${port}/proxy.pac`))
  assert.equal(workflow.env['KT_HTTP_PROXY'], '')
})

test('a proxy whose end nobody waits for, as in some containers, is seen to have ended', {
  skip,
  timeout: 60_000,
}, async () => {
  // `sleep` takes the place of the shell that has started it, and waits for no child.
  const child = spawn('sh', [
    '-c',
    `"${process.execPath}" -e 'setInterval(() => {}, 1000)' proxy --port & echo $!; exec sleep 60`,
  ])
  try {
    const [pid] = (await once(child.stdout, 'data')) as [Buffer]
    const cmdline = `/proc/${Number(pid)}/cmdline`
    while (!readFileSync(cmdline, 'latin1').includes('\0proxy\0'))
      await new Promise((resolve) => setTimeout(resolve, 10))
    writeFileSync(join(workflow.folder, 'temp/kt-proxy.log'), 'put back\n')
    const more = { KT_CONNECTED: `proxy:${Number(pid)}`, KT_WAIT_SECONDS: '10' }
    assert.deepEqual(workflow.uses('action/down', {}, more), { status: 0, said: 'put back\n' })
  } finally {
    child.kill()
  }
})

test('a proxy that cannot begin is told with its own words', { skip, timeout: 90_000 }, async () => {
  const inputs = { ...good(), mode: 'proxy', port: await freePort() }
  const { status, said } = workflow.uses('action', inputs, { KT_TEST_BROKEN: '1' })
  assert.equal(status, 1)
  assert.match(said, /^error: there is no kubeconfig\n::error::kt proxy has ended/m)
  assert.match(workflow.uses('action/down').said, /^kt proxy has ended before$/m)
})

test('the number of a process that is another one by now is left alone', { skip }, () => {
  const { status, said } = workflow.uses('action/down', {}, { KT_CONNECTED: `proxy:${process.pid}` })
  assert.deepEqual([status, said], [0, 'kt proxy has ended before\n'])
})

test('a file with another checksum is not installed, wherever the checksum comes from', { skip }, () => {
  const other = release('other', `${'a'.repeat(64)}  kt-linux-${arch}\n`)
  const { status, said } = workflow.uses('action', { ...other, mode: 'none' })
  assert.deepEqual([status, workflow.installed()], [1, false])
  assert.match(
    said,
    new RegExp(`::error::kt-linux-${arch} of kt 9.9.9 is not what was released: its checksum is ${sha256}, not a{64}`),
  )
  assert.equal(workflow.uses('action', { ...good(), mode: 'none', sha256: 'b'.repeat(64) }).status, 1)
  assert.equal(workflow.uses('action', { ...other, mode: 'none', sha256 }).status, 0, 'the one that is given counts')
  assert.ok(workflow.installed())
})

test('a release without this file, a version that is none and plain http are errors', { skip }, () => {
  const install = (inputs: Record<string, string>) => workflow.uses('action', { mode: 'none', ...inputs })
  assert.match(
    install(release('none', `${sha256}  kt-linux-mips\n`)).said,
    /::error::the release 9\.9\.9 has no checksum of/,
  )
  assert.match(install({ ...good(), version: '../9.9.9' }).said, /::error::the version \.\.\/9\.9\.9 is none/)
  assert.match(
    install({ ...good(), 'release-url': 'http://127.0.0.1:9' }).said,
    /::error::SHA256SUMS of kt 9\.9\.9 cannot be downloaded/,
  )
  assert.equal(workflow.installed(), false)
})

test('what an earlier job installed is taken, unless it was changed since', { skip }, () => {
  const inputs = { ...good(), mode: 'none' }
  assert.equal(workflow.uses('action', inputs).status, 0)
  const place = join(folder, 'good/v9.9.9', `kt-linux-${arch}`)
  rmSync(place)
  assert.equal(workflow.uses('action', inputs).status, 0, 'without a download')
  good()
  appendFileSync(workflow.program, '# changed\n')
  assert.equal(workflow.uses('action', inputs).status, 0)
  assert.equal(readFileSync(workflow.program, 'utf8'), KT)
})

test('shellcheck finds nothing in the scripts', { skip: missing('shellcheck') }, () => {
  const { status, stdout } = spawnSync('shellcheck', globSync('action/*.sh'), { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
