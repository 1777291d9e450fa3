// `./dev bench proxy`: `kt proxy` and the library against `ssh -D` over `kubectl port-forward`, on a real cluster, turn about in
// one run, so that only ratios count. What is measured is what a client of SOCKS gets (proxy-client.ts), and with the library
// what its own process gets.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { cleanUp, inLaptop, kt, median, namespace, program, sshOver, start, undo } from './laptops.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '3' } },
})
if (!existsSync(program)) {
  console.log(`bench: skipped: there is no cluster program (KT_TEST_CLUSTER) at ${program}`)
  process.exit(0)
}
const client = resolve('bench/proxy-client.ts')
const LAPTOP = 'bp'
const PORTS = { ssh: 1090, proxy: 1080 }
const TESTS = ['down1', 'up1', 'down8', 'connect', 'connect32']

type Figures = Record<string, number>

/** Runs the client on the laptop. `way`: a SOCKS port, or `library`. */
function measure(way: string, test: string): number {
  const words = [process.execPath, client, way, test, values.seconds, `web.${namespace}.svc.cluster.local`]
  return (JSON.parse(inLaptop(LAPTOP, ...words)) as Figures)[test]
}

const answers = () => {
  try {
    inLaptop(
      LAPTOP,
      'curl',
      '-sf',
      '-m',
      '2',
      '-x',
      `socks5h://127.0.0.1:${PORTS.ssh}`,
      `http://web.${namespace}.svc.cluster.local/`,
    )
    return true
  } catch {
    return false
  }
}

try {
  inLaptop(LAPTOP, 'true')
  await sshOver(LAPTOP, ['-D', `127.0.0.1:${PORTS.ssh}`], answers)
  // As a person has it: other people's processes would make the proxy look more closely.
  const command = `exec ${kt} proxy -n ${namespace} --port ${PORTS.proxy}`
  const pid = await start(LAPTOP, /ALL_PROXY/, 'su', '-', 'dev', '-c', command)
  undo.push(() => {
    process.kill(pid, 'SIGTERM')
    // Its shadow is removed before it ends.
    spawn('tail', ['--pid', String(pid), '-f', '/dev/null'])
  })
  const ways: [string, string][] = [
    ['ssh -D', String(PORTS.ssh)],
    ['proxy', String(PORTS.proxy)],
    ['library', 'library'],
  ]
  const figures = new Map<string, number[]>()
  for (let round = 0; round < Number(values.rounds); round++)
    for (const test of TESTS)
      for (const [name, way] of ways) {
        const key = `${test} ${name}`
        figures.set(key, [...(figures.get(key) ?? []), measure(way, test)])
      }
  const unit = (test: string) => (test.startsWith('connect') ? '1/s' : 'MB/s')
  console.log(`median of ${values.rounds} rounds, turn about; in brackets the ratio to ssh -D of the same run`)
  console.log(['figure'.padEnd(16), ...ways.map(([name]) => name.padStart(18))].join(''))
  for (const test of TESTS) {
    const base = median(figures.get(`${test} ssh -D`)!)
    const cells = ways.map(([name]) => {
      const value = median(figures.get(`${test} ${name}`)!)
      return `${value.toFixed(0)}${name === 'ssh -D' ? '' : ` (${(value / base).toFixed(2)})`}`.padStart(18)
    })
    console.log([`${test} ${unit(test)}`.padEnd(16), ...cells].join(''))
  }
} catch (error) {
  process.exitCode = 1
  const { stderr, message } = error as { stderr?: string; message: string }
  console.error(`bench: ${stderr || message}`)
} finally {
  cleanUp()
}
process.exit()
