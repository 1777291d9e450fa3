// `./dev demo`: kt at work on this machine alone. Starts the embedded lab, connects its laptop with `bin/kt up` as an
// ordinary user would, shows with ordinary programs what works then, disconnects, and compares the machine with before.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Lab, LabError, startLab, topology } from '../test/lab/lab.ts'
import { type Finished, killGroup, type LaptopUser } from '../test/lab/laptop.ts'
import { checkPrerequisites, findProgram } from '../test/lab/namespaces.ts'
import { labMachine, type Machine } from '../test/support/machine.ts'
import { type NetworkState, stateDifferences } from '../test/support/network-state.ts'
import { checkout } from '../test/support/readable.ts'

const colour = Boolean(process.stdout.isTTY) && !process.env['NO_COLOR']
const paint = (code: number) => (text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text)
const [bold, dim, red, green, cyan] = [1, 2, 31, 32, 36].map(paint)
const say = (text = '') => process.stdout.write(`${text}\n`)
const [web4, web6] = topology.webAddresses

/** People read along; a script need not wait. */
const pause = (ms: number) =>
  process.stdout.isTTY ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve()

class Demo {
  readonly #lab: Lab
  readonly #machine: Machine
  readonly #user: LaptopUser
  readonly #sudo: string[]
  readonly shown: string[] = []
  readonly failed: string[] = []

  constructor(lab: Lab) {
    this.#lab = lab
    this.#machine = labMachine(lab.laptop)
    this.#user = findProgram('sudo') ? 'dev' : 'root'
    this.#sudo = this.#user === 'dev' ? ['sudo'] : []
  }

  async heading(text: string): Promise<void> {
    await pause(400)
    say(`\n${bold(text)}`)
  }

  /** Records how a step went; `what` becomes part of the last line. */
  record(what: string, ok: boolean, why = ''): void {
    if (ok) this.shown.push(what)
    else {
      this.failed.push(what)
      say(`  ${red('failed')} ${what}${why ? `: ${why}` : ''}`)
    }
  }

  /** Runs a command in the laptop with its output shown as it comes. */
  async live(words: string[]): Promise<Finished> {
    this.#prompt(words)
    const child = this.#lab.laptop.spawn(words, { user: this.#user })
    child.stdin.end()
    const timer = setTimeout(() => killGroup(child), 120_000)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      process.stdout.write(text)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      process.stdout.write(dim(text))
    })
    const code = await new Promise<number | undefined>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (status) => resolve(status ?? undefined))
    })
    clearTimeout(timer)
    return { code, stdout, stderr, heldOpen: false }
  }

  /** A command whose output shall match. */
  async expect(what: string, words: string[], wanted: RegExp): Promise<void> {
    this.#prompt(words)
    const { code, stdout, stderr } = await this.#lab.laptop.run(words, { user: this.#user, timeoutMs: 20_000 })
    const text = (stdout + stderr).trim()
    if (text) say(text.split('\n').map(shorten).join('\n'))
    this.record(what, code === 0 && wanted.test(stdout), `exit ${code}`)
    await pause(250)
  }

  async connect(): Promise<boolean> {
    await this.heading('Connect')
    const { code } = await this.live([...this.#sudo, this.#kt, 'up'])
    this.record('kt up', code === 0, `exit ${code}`)
    return code === 0
  }

  async addressesAndNames(): Promise<void> {
    await this.heading('A service, by each form of its name, as inside a pod')
    for (const name of ['web.shop', 'web', 'web.shop.svc.cluster.local'])
      await this.expect(`http://${name}/`, this.#fetch(`http://${name}/`), /"from":"web-/)
    await this.heading('By address: service and pod, IPv4 and IPv6')
    const [pod4, pod6] = topology.webPods[0].addresses
    for (const host of [`${web4}`, `[${web6}]`, `${pod4}:8080`, `[${pod6}]:8080`])
      await this.expect(`http://${host}/`, this.#fetch(`http://${host}/`), /"from":"web-/)
    await this.heading('Headless and public names')
    await this.expect('the pods behind db.shop', ['getent', 'ahostsv4', 'db.shop'], /10\.111\.0\.2[01]/)
    await this.expect('db-0.db.shop', this.#fetch('http://db-0.db.shop:8080/'), /"from":"db-0"/)
    await this.expect('public names as ever', this.#fetch('http://www.example.com/'), /a public page/)
  }

  async otherTraffic(): Promise<void> {
    await this.heading('UDP, a closed port, a reset')
    const { ms } = await this.#machine.probe('udp', { host: web4, port: 7, sizes: [64, 1400, 8000] })
    say(
      `  UDP echo of 64, 1400 and 8000 bytes: ${ms.map((one) => (one === null ? 'lost' : `${one.toFixed(1)} ms`)).join(', ')}`,
    )
    this.record(
      'UDP echo',
      ms.every((one) => one !== null),
    )
    const closed = await this.#machine.probe('tcp', { host: web4, port: 81 })
    say(`  port 81 of web: ${closed.error ?? 'open'} after ${closed.ms.toFixed(1)} ms`)
    this.record('a closed port refuses', closed.error === 'ECONNREFUSED')
    const reset = await this.#machine.probe('get', { url: 'http://web.shop/reset?after=1000000' })
    say(`  a download the server resets: ${reset.error ?? 'looks whole'}`)
    this.record('a reset is a reset', reset.error === 'ECONNRESET')
  }

  async speed(): Promise<string> {
    await this.heading('Speed')
    const { bytes, ms } = await this.#machine.probe('speed', { host: web4, port: 19, ms: 2000 })
    const rate = `${(bytes / 1000 / ms).toFixed(0)} MB/s`
    say(`  downloading for two seconds: ${bold(rate)} (cluster, API server and laptop share this machine's cores)`)
    this.record(`downloads at ${rate}`, bytes > 1_000_000)
    return rate
  }

  async disconnect(before: NetworkState): Promise<void> {
    await this.heading('Disconnect')
    const { code } = await this.live([...this.#sudo, this.#kt, 'down'])
    this.record('kt down', code === 0, `exit ${code}`)
    const differences = stateDifferences(before, await this.#machine.state())
    for (const difference of differences) say(`  ${red(difference)}`)
    if (differences.length === 0)
      say(`  ${green('✓')} addresses, routes, rules, /etc/resolv.conf and /etc/hosts are byte for byte as before`)
    this.record('the machine as before', differences.length === 0)
    const left = (await Promise.all(['jobs', 'secrets'].map((kind) => this.#lab.api.list(kind)))).flat()
    if (left.length === 0) say(`  ${green('✓')} nothing is left in the cluster`)
    this.record('the cluster as before', left.length === 0, left.map(({ metadata }) => metadata.name).join(', '))
  }

  state(): Promise<NetworkState> {
    return this.#machine.state()
  }

  async status(): Promise<void> {
    await this.heading('What kt says of itself')
    const { code } = await this.live([this.#kt, 'status'])
    this.record('kt status', code === 0, `exit ${code}`)
  }

  async logs(): Promise<void> {
    await this.live([this.#kt, 'logs'])
  }

  get #kt(): string {
    return this.#lab.laptop.kt
  }

  /** curl where it is, else Node's fetch. */
  #fetch(url: string): string[] {
    if (findProgram('curl')) return ['curl', '-sS', '-g', '-m', '10', url]
    return [this.#lab.laptop.node, '-e', `fetch('${url}').then(r=>r.text()).then(t=>process.stdout.write(t))`]
  }

  #prompt(words: string[]): void {
    const sign = this.#user === 'dev' ? 'dev@laptop$' : 'root@laptop#'
    const readable = words.map((word) => (word === this.#kt ? 'kt' : word === this.#lab.laptop.node ? 'node' : word))
    say(`  ${cyan(sign)} ${readable.join(' ')}`)
  }
}

const shorten = (line: string) => `  ${line.length > 110 ? `${line.slice(0, 109)}…` : line}`

async function main(): Promise<boolean> {
  checkPrerequisites()
  for (const needed of ['bin/kt', 'dist/cli.js', 'dist/agent.cjs'])
    if (!existsSync(join(checkout, needed))) throw new LabError(`${needed} is missing: run ./dev setup first`)
  say(bold('kt: your machine in the network of a Kubernetes cluster'))
  say('Starting a lab: a laptop, a small cluster and the world between, each a network namespace of this machine.')
  const began = performance.now()
  await using lab = await startLab()
  say(dim(`  up in ${((performance.now() - began) / 1000).toFixed(1)} s; nothing outside these namespaces is changed`))
  const demo = new Demo(lab)
  const before = await demo.state()
  let rate = ''
  if (await demo.connect()) {
    await demo.addressesAndNames()
    await demo.otherTraffic()
    rate = await demo.speed()
    await demo.status()
    if (demo.failed.length > 0) await demo.logs()
    await demo.disconnect(before)
  }
  say()
  if (demo.failed.length > 0) {
    say(
      red(`${demo.failed.length} of ${demo.failed.length + demo.shown.length} steps failed: ${demo.failed.join('; ')}`),
    )
    return false
  }
  say(
    green(
      `${demo.shown.length} steps shown: names and addresses over IPv4 and IPv6, TCP and UDP, ${rate}; all is as before.`,
    ),
  )
  return true
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  if (!(error instanceof LabError)) throw error
  console.error(`demo: ${error.message}`)
  process.exitCode = 1
}
