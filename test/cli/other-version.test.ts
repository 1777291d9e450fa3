// A command beside an engine of another version, as a whole process: both versions are said, and status, leave and down work.
// The engines are written out here as lines on a socket, since each version that exists must be understood.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { otherVersion } from '../../src/cli/other-version.ts'
import type { CliError } from '../../src/cli/output.ts'
import { ControlFailure } from '../../src/control/client.ts'
import { VERSION } from '../../src/control/version.ts'
import { missing } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-versions-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** What `kt status` of the first kt said; `version` was there, too. */
const status = {
  state: 'connected',
  since: '2026-01-01T00:00:00Z',
  pid: 1,
  context: 'dev',
  cluster: 'dev',
  server: 'https://10.0.0.1',
  namespace: 'shop',
  user: 'ann',
  shadow: null,
  tun: { name: 'lo', mtu: 1500, addresses: [] },
  ranges: [],
  routes: [],
  dns: { mode: 'resolvconf', servers: ['198.18.0.1'], domains: [] },
  flows: { tcp: 0, udp: 0 },
  bytes: { in: 0, out: 0 },
  roundTripMs: null,
  reconnects: 0,
  notes: [],
}

interface Engine {
  /** Results by operation. What is not here is unknown to it. */
  answers: Record<string, unknown>
  /** Operations with another version than this are refused, but for the stable ones. */
  control: number
}

const stable = ['ping', 'status', 'down', 'held', 'leave']

/** An engine in a folder that stands for /run/kt; it is gone when it was told to go down. */
async function withEngine(name: string, { answers, control }: Engine, use: (run: string) => Promise<void>) {
  const run = join(folder, name)
  mkdirSync(join(run, '0'), { recursive: true })
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (lines) => {
      for (const line of lines.toString().trim().split('\n')) {
        const { v, id, op } = JSON.parse(line) as { v: number; id: number; op: string }
        const error =
          v !== (stable.includes(op) ? 1 : control)
            ? { code: 'version', message: `this engine speaks control version ${control}, the command ${v}`, hint: '' }
            : op in answers
              ? undefined
              : {
                  code: 'unknown-operation',
                  message: `unknown operation ${op}`,
                  hint: 'run `kt down` and `kt up` again',
                }
        socket.write(`${JSON.stringify(error ? { id, ok: false, error } : { id, ok: true, result: answers[op] })}\n`)
        if (op === 'down') {
          server.close()
          rmSync(run, { recursive: true, force: true })
        }
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(join(run, '0/control.sock'), resolve))
  try {
    await use(run)
  } finally {
    server.close()
  }
}

const skip = (process.getuid?.() !== 0 && 'needs root') || missing('unshare')

/** As root in namespaces of its own, where /run/kt is `run` and nothing of this machine is in reach. */
async function kt(run: string, ...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const script =
    'mount -t tmpfs none /run && mount -t tmpfs none /var/lib && mkdir /run/kt && mount --bind "$0" /run/kt && exec bin/kt "$@"'
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1', XDG_RUNTIME_DIR: '' }
  for (const name of ['SUDO_UID', 'SUDO_GID', 'SUDO_USER']) delete env[name]
  const child = spawn('unshare', ['-mnpf', '--mount-proc', 'sh', '-c', script, run, ...args], { env })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  return { code, stdout, stderr }
}

const engines: Record<string, { engine: Engine; says: RegExp; cannot: RegExp }> = {
  'an older engine': {
    engine: {
      control: 1,
      answers: { ping: {}, status: { version: '0.0.9', ...status }, look: {}, down: { notes: [] } },
    },
    says: /^ {2}! version {3}kt 0\.0\.9 runs, an older kt than this command \(\d+\.\d+\.\d+\): status, down and leave work, the rest may not; `(.+)kt down`, then `\1kt up` again, changes over\n$/,
    cannot:
      /^error: kt 0\.0\.9 runs, and does not understand this command \(\d+\.\d+\.\d+\)\n {7}`(.+)kt down`, then `\1kt up` again, changes over\n$/,
  },
  'an engine from before versions were told': {
    engine: { control: 1, answers: { status, look: {}, down: { notes: [] } } },
    says: /^ {2}! version {3}an older kt runs than this command \(\d/,
    cannot: /^error: an older kt runs, and does not understand this command \(\d/,
  },
  'a newer engine whose other requests mean something else': {
    engine: {
      control: 7,
      answers: { ping: { version: '9.0.0' }, status: { version: '9.0.0', ...status, added: {} }, down: { notes: [] } },
    },
    says: /^ {2}! version {3}kt 9\.0\.0 runs, a newer kt than this command \(\d/,
    cannot: /^error: kt 9\.0\.0 runs, and does not understand this command \(\d/,
  },
}

for (const [name, { engine, says, cannot }] of Object.entries(engines))
  test(`beside ${name}, the versions are said, and status and down work`, { skip, timeout: 60_000 }, () =>
    withEngine(name.replaceAll(' ', '-'), engine, async (run) => {
      const shown = await kt(run, 'status')
      assert.equal(shown.code, 0, shown.stderr)
      assert.match(shown.stdout, /^state +connected for /)
      assert.match(shown.stderr, says)

      const flows = await kt(run, 'flows')
      assert.deepEqual([flows.code, flows.stdout], [1, ''])
      assert.match(flows.stderr, cannot)

      const down = await kt(run, 'down')
      assert.deepEqual([down.code, down.stdout, down.stderr], [0, '', 'disconnected\n'])
    }),
  )

test('beside an engine of the same version nothing is said of versions', { skip, timeout: 60_000 }, () =>
  withEngine('same', { control: 1, answers: { ping: { version: VERSION }, status, look: {} } }, async (run) => {
    assert.deepEqual((await kt(run, 'status')).stderr, '')
  }),
)

test(
  'an engine of another version that is connected as asked is left alone, and named',
  { skip, timeout: 60_000 },
  () =>
    withEngine(
      'up',
      {
        control: 1,
        answers: { ping: { version: '0.0.9' }, status, same: { same: true, wanted: 'dev', current: 'dev' } },
      },
      async (run) => {
        const up = await kt(run, 'up')
        assert.equal(up.code, 0)
        assert.match(up.stderr, /^already connected to dev\n {2}! version {3}kt 0\.0\.9 runs, an older kt than/)
      },
    ),
)

test('versions are compared as numbers, and what follows them is not', () => {
  const age = (there: string, here: string) =>
    /an older|a newer|another/.exec(otherVersion(there, here)?.words ?? '')?.[0]
  assert.equal(age('0.9.0', '0.10.0'), 'an older')
  assert.equal(age('1.0.0', '0.10.0'), 'a newer')
  assert.equal(age('1.0.0-rc.1', '1.0.0'), 'another')
  assert.equal(otherVersion('1.0.0', '1.0.0'), undefined)
})

test('an error that has nothing to do with versions stays as it is', () => {
  const { explain } = otherVersion('0.0.9', '0.1.0')!
  const lost = new ControlFailure({ code: 'engine-lost', message: 'kt ended before it answered', hint: '' })
  assert.equal(explain(lost), lost)
  assert.match(
    (explain(new TypeError('undefined has no length')) as CliError).message,
    /^kt 0\.0\.9 runs, and does not/,
  )
})
