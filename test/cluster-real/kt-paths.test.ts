// `kt up --paths 2` on a real cluster: whichever of the two port-forwards is cut while much goes over both, every byte arrives,
// ordinary programs go on, and the status tells which path is missing and why. The library's option `paths` is tried here, too.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import type { LineStatus, Status } from '../../src/control/protocol.ts'
import { realCluster, realMachine } from '../support/machine.ts'
import { checkout } from '../support/readable.ts'
import { until } from '../support/until.ts'
import { NAMESPACE, startPeer, stopPeer } from './peer.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const LAPTOP = 'paths'
const BYTES = 150_000_000
/** A path that carried so much of two transfers had its part in them. */
const PART = 4_000_000
/** So long a way that one connection cannot carry all that both transfers have. */
const WAN = ['delay=20']
/** Why a path is missing whose connection was ended here, or whose next attempt was refused at once. */
const ENDED = /this machine ended the connection|the connection to the API server was reset|refuses the connection/

const laptop = realMachine(program, LAPTOP)
const wan = (...args: string[]) => execFileSync(program, ['wan', '--as', LAPTOP, ...args], { stdio: 'ignore' })

async function asRoot(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await laptop.run(command, { user: 'root' })
  assert.equal(code, 0, `${command.join(' ')}: ${stderr}`)
  return stdout
}

async function shell(script: string): Promise<string> {
  const { code, stdout, stderr } = await laptop.run(['bash', '-c', `set -e -o pipefail; ${script}`])
  assert.equal(code, 0, stderr)
  return stdout.trim()
}

async function status(): Promise<Status & { line: LineStatus }> {
  const { code, stdout, stderr } = await laptop.kt(['status', '--json'])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

/** The engine's connections to the API server: by local port, the bytes that each has carried, both ways. */
async function portForwards(): Promise<Map<string, number>> {
  const { pid } = await status()
  const said = await asRoot('ss', '-HtnpiO', 'state', 'established', 'dport', '=', ':6443')
  const count = (line: string, name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(line)?.[1] ?? 0)
  return new Map(
    said
      .split('\n')
      .filter((line) => line.includes(`pid=${pid},`))
      .map((line) => {
        const port = /:(\d+)\s+\S+:6443/.exec(line)![1]
        return [port, count(line, 'bytes_acked') + count(line, 'bytes_received')]
      }),
  )
}

const cut = (port: string) => asRoot('ss', '-K', 'sport', '=', `:${port}`)

/** Until `open`, no new connection to the API server is made. */
async function close(): Promise<void> {
  const hook = 'type filter hook output priority 0;'
  const rule = 'tcp dport 6443 tcp flags syn / syn,ack reject with tcp reset'
  await asRoot('nft', `add table inet paths; add chain inet paths o { ${hook} }; add rule inet paths o ${rule}`)
}
const open = () => asRoot('nft', 'delete table inet paths')

/** Two port-forwards, once there are two. */
const two = () =>
  until(
    'two port-forwards',
    async () => {
      const { line } = await status()
      const ports = [...(await portForwards()).keys()]
      return line.paths.length === 2 && ports.length === 2 ? { line, ports } : undefined
    },
    40_000,
  )

/** Resolves to the checksums of what came, as it was sent and as it was received. */
async function download(): Promise<string[]> {
  const trailer = "sed -n 's/^x-sha256: *//Ip' $h | tr -d '\\r'"
  const curl = `curl -sS -D $h http://peer.${NAMESPACE}/${BYTES} | sha256sum | cut -c -64`
  return (await shell(`h=$(mktemp); ${curl}; ${trailer}; rm $h`)).split('\n')
}

async function upload(): Promise<string[]> {
  const curl = `curl -sS -T $f http://peer.${NAMESPACE}/`
  return (
    await shell(`f=$(mktemp); head -c ${BYTES} /dev/urandom >$f; sha256sum <$f | cut -c -64; ${curl}; rm $f`)
  ).split('\n')
}

describe('two port-forwards at once', { skip }, () => {
  let left: string | undefined

  before(async () => {
    if (skip) return
    startPeer(program)
    await laptop.kt(['down'], { sudo: true })
    wan(...WAN)
    const up = await laptop.kt(['up', '-n', NAMESPACE, '--paths', '2'], { sudo: true })
    assert.equal(up.code, 0, up.stderr)
  })
  after(async () => {
    if (skip) return
    await laptop.run(['nft', 'delete', 'table', 'inet', 'paths'], { user: 'root' })
    await laptop.kt(['down'], { sudo: true })
    wan('off')
    stopPeer(program)
  })

  test('the status shows both', async () => {
    const { line } = await two()
    assert.equal(line.wantedPaths, 2)
    assert.equal(line.missingPath, null)
    const { stdout } = await laptop.kt(['status'])
    assert.match(stdout, /^line +a port-forward over \w+ for [^;]+ and a port-forward over \w+ for [^;]+$/m)
  })

  for (const which of ['one', 'the older one'])
    test(`${which} is cut under load and no other can be opened: every byte arrives, and the status says why`, async () => {
      const { ports } = await two()
      // The one that is left becomes the older one.
      const victim = left ?? ports[0]
      left = ports.find((port) => port !== victim)!
      const before = await portForwards()
      await close()
      try {
        const transfers = Promise.all([download(), upload()])
        transfers.catch(() => {}) // awaited below
        await until('both carry', async () => {
          const now = await portForwards()
          assert.deepEqual([...now.keys()].sort(), [...before.keys()].sort())
          return [...before].every(([port, carried]) => now.get(port)! - carried > PART)
        })
        await cut(victim)
        const { line, faults } = await until('one path, and a reason', async () => {
          const now = await status()
          return now.line.missingPath ? now : undefined
        })
        assert.match(line.missingPath!, ENDED)
        assert.equal(line.state, 'open')
        assert.deepEqual(faults, [])
        assert.equal(line.paths.length, 1)
        assert.deepEqual([...(await portForwards()).keys()], [left])
        const [down, up] = await transfers
        assert.match(down[0], /^[0-9a-f]{64}$/)
        assert.equal(down[1], down[0])
        assert.match(up[0], /^[0-9a-f]{64}$/)
        assert.equal(up[1], up[0])
        assert.equal(await shell(`curl -sS http://peer.${NAMESPACE}/1000 | wc -c`), '1000')
        // Each attempt that failed makes the pause before the next one twice as long, so one test waits for that.
        if (which === 'one') {
          const tried = async () => /refuses the connection/.test((await status()).line.missingPath ?? '')
          await until('an attempt has failed', tried, 20_000)
          const { stdout } = await laptop.kt(['status'])
          assert.match(
            stdout,
            /^line +a port-forward over \w+ for .*; there is no second one: .*refuses the connection/m,
          )
        }
      } finally {
        await open()
      }
    })

  test('there are two again, and the line never had to look for a path', async () => {
    const { line } = await two()
    assert.equal(line.missingPath, null)
    assert.equal(line.resumptions, 0)
    assert.equal((await status()).reconnects, 0)
  })

  test('kt down closes both', async () => {
    const down = await laptop.kt(['down'], { sudo: true })
    assert.equal(down.code, 0, down.stderr)
    assert.equal(await asRoot('ss', '-Htn', 'state', 'established', 'dport', '=', ':6443'), '')
  })
})

test('the library opens as many port-forwards as its option says', { skip }, async () => {
  const program = `
    import { execFileSync } from 'node:child_process'
    import { setTimeout } from 'node:timers/promises'
    import { connect } from 'kt'
    await using cluster = await connect({ namespace: 'shop', paths: 2 })
    const count = () => execFileSync('ss', ['-Htnp', 'state', 'established', 'dport', '=', ':6443'], { encoding: 'utf8' })
      .split('\\n').filter((line) => line.includes('pid=' + process.pid + ',')).length
    for (let i = 0; i < 50 && count() < 2; i++) await setTimeout(100)
    console.log(count(), (await cluster.fetch('http://web/')).status)`
  const { code, stdout, stderr } = await laptop.run([
    ...['sh', '-c', 'cd "$1"; shift; exec "$@"', 'sh', checkout],
    ...[process.execPath, '--input-type=module', '--eval', program],
  ])
  assert.equal(code, 0, stderr)
  assert.equal(stdout, '2 200\n')
})
