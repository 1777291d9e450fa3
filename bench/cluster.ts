// `./dev bench`: kt against `ssh -L` over `kubectl port-forward`, and against `kubectl port-forward` itself, on a real
// cluster, turn about in one run, so that only ratios count. The yardstick is a probe program (KT_PROBE, by default
// ../shared/bench/probe.mjs) that measures what a program gets; the cluster is KT_TEST_CLUSTER's (see CONTRIBUTING.md).
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { background, cleanUp, inLaptop, kt, median, namespace, program, sshOver, start, undo } from './laptops.ts'
import { portForwards, slowDown } from './slow-connection.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string' },
    contenders: { type: 'string', default: 'ssh,forward,kt,kt-sshd' },
    wan: { type: 'string' },
    slow: { type: 'string', default: '80' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log(
    `./dev bench cluster [--rounds 3] [--seconds 3] [--only down1,up1,...] [--contenders ssh,forward,kt,kt-sshd,kt-paths,kt-slow,kt-paths-slow] [--wan "delay=20"] [--slow 80] [--json]

kt-paths uses two port-forwards. kt-slow and kt-paths-slow have one port-forward that moves --slow Mbit/s at most.
echoBusy, in --only, is the echo of a byte beside a download.`,
  )
  process.exit(0)
}
const cluster = program
const probe = process.env['KT_PROBE'] ?? resolve('../shared/bench/probe.mjs')
for (const [what, path] of [
  ['cluster program (KT_TEST_CLUSTER)', cluster],
  ['probe (KT_PROBE)', probe],
]) {
  if (!existsSync(path)) {
    console.log(`bench: skipped: there is no ${what} at ${path}`)
    process.exit(0)
  }
}
interface Contender {
  name: string
  laptop: string
  host: string
  pids: number[]
  /** Before each measurement. */
  prepare?: () => Promise<void>
}

async function startSsh(): Promise<Contender> {
  const [laptop, host] = ['bs', '127.0.1.1']
  setLine(laptop)
  const forwards = [80, 7, 9, 19].flatMap((port) => [
    '-L',
    `${host}:${port}:web.${namespace}.svc.cluster.local:${port}`,
  ])
  const answers = () => {
    try {
      inLaptop(laptop, 'curl', '-sf', '-m', '2', `http://${host}/`)
      return true
    } catch {
      return false
    }
  }
  return { name: 'ssh', laptop, host, pids: await sshOver(laptop, forwards, answers) }
}

async function startForward(): Promise<Contender> {
  const laptop = 'bf'
  setLine(laptop)
  const host = '127.0.1.1'
  const pid = await start(
    laptop,
    /Forwarding from[\s\S]*19/,
    'kubectl',
    '-n',
    namespace,
    'port-forward',
    '--address',
    host,
    'svc/web',
    '80:80',
    '7:7',
    '9:9',
    '19:19',
  )
  return { name: 'forward', laptop, host, pids: [pid] }
}

const LAPTOPS: Record<string, string> = {
  ...{ kt: 'bk', 'kt-sshd': 'bks', 'kt-paths': 'bkp' },
  ...{ 'kt-slow': 'bkl', 'kt-paths-slow': 'bkpl' },
}

function startKt(name: string, ...options: string[]): Contender {
  const laptop = LAPTOPS[name]
  setLine(laptop)
  inLaptop(laptop, kt, 'down')
  inLaptop(laptop, kt, 'up', '-n', namespace, ...options)
  undo.push(() => inLaptop(laptop, kt, 'down'))
  const engine = JSON.parse(inLaptop(laptop, kt, 'status', '--json')).pid as number
  const helper = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${engine}/status`, 'utf8'))![1])
  return { name, laptop, host: `web.${namespace}`, pids: [engine, helper] }
}

/** The first of its `count` port-forwards moves --slow Mbit/s at most. kt may give that one up: then it is another one. */
async function startSlow(name: string, count: number): Promise<Contender> {
  const contender = startKt(name, '--paths', String(count))
  let slow: number | undefined
  let stop = () => {}
  contender.prepare = async () => {
    const ports = await portForwards(contender.laptop, kt, count)
    if (slow !== undefined && ports.includes(slow)) return
    if (slow !== undefined) console.error(`${name} has left its slow port-forward: from here on another one is slow`)
    stop()
    slow = ports[0]
    stop = slowDown(contender.laptop, slow, Number(values.slow))
  }
  undo.push(() => stop())
  await contender.prepare()
  return contender
}

type Result = Record<string, Record<string, number | string>>

function measure(c: Contender, only: string): Result {
  const args = [
    process.execPath,
    probe,
    c.host,
    '--json',
    '--seconds',
    values.seconds,
    '--only',
    only,
    '--pids',
    c.pids.join(','),
  ]
  return JSON.parse(inLaptop(c.laptop, ...args)) as Result
}

/** The echo of a byte while a download runs. */
async function echoBusy(c: Contender): Promise<Result> {
  const stop = background(c.laptop, 'bash', '-c', `exec cat </dev/tcp/${c.host}/19 >/dev/null`)
  try {
    // The download has found its rate by then.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    const { echo } = measure(c, 'echo')
    return { echoBusy: echo }
  } finally {
    await stop()
  }
}

/** Makes a laptop's line what --wan says, before anything uses it. */
function setLine(laptop: string): void {
  if (!values.wan) return
  inLaptop(laptop, 'true')
  execFileSync(cluster, ['wan', '--as', laptop, ...values.wan.split(' ')])
  undo.unshift(() => execFileSync(cluster, ['wan', '--as', laptop, 'off']))
}

async function main(): Promise<void> {
  const contenders: Contender[] = []
  for (const name of values.contenders.split(',')) {
    if (name === 'ssh') contenders.push(await startSsh())
    else if (name === 'forward') contenders.push(await startForward())
    else if (name === 'kt') contenders.push(startKt('kt'))
    else if (name === 'kt-sshd')
      contenders.push(startKt('kt-sshd', '--shadow', 'sshd', '--image', 'localhost/sshd-shadow:1'))
    else if (name === 'kt-paths') contenders.push(startKt('kt-paths', '--paths', '2'))
    else if (name === 'kt-slow') contenders.push(await startSlow(name, 1))
    else if (name === 'kt-paths-slow') contenders.push(await startSlow(name, 2))
    else throw new Error(`unknown contender ${name}`)
  }
  const tests = (values.only ?? 'down1,up1,down8,up8,echo,connect,newConnections,udp64').split(',')
  const figures = new Map<string, number[]>()
  const add = (key: string, value: unknown) => {
    if (typeof value !== 'number') return
    if (!figures.has(key)) figures.set(key, [])
    figures.get(key)!.push(value)
  }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const test of tests) {
      for (const c of contenders) {
        if (test.startsWith('udp') && !c.name.startsWith('kt')) continue
        // Many short connections end a `kubectl port-forward` (containerd#9875), and then the probe waits for ever.
        if (c.name === 'forward' && !/^(down|up|echo)/.test(test)) continue
        await c.prepare?.()
        const result = test === 'echoBusy' ? await echoBusy(c) : measure(c, test)
        for (const [figure, value] of Object.entries(result[test] ?? {})) add(`${test} ${figure}\t${c.name}`, value)
        if (result[test]?.['error']) console.error(`${c.name} ${test}: ${result[test]['error']}`)
        add(`residentMB\t${c.name}`, result['residentMB'])
      }
    }
  }
  const names = contenders.map((c) => c.name)
  const rows = [...new Set([...figures.keys()].map((key) => key.split('\t')[0]))]
  if (values.json) {
    console.log(JSON.stringify(Object.fromEntries([...figures].map(([k, v]) => [k.replace('\t', ' '), v]))))
    return
  }
  console.log(
    `median of ${values.rounds} rounds, turn about${values.wan ? `, line: ${values.wan}` : ''}; in brackets the ratio to ${names[0]} of the same run`,
  )
  console.log(['figure'.padEnd(26), ...names.map((n) => n.padStart(18))].join(''))
  for (const row of rows) {
    const base = figures.get(`${row}\t${names[0]}`)
    const cells = names.map((n) => {
      const list = figures.get(`${row}\t${n}`)
      if (!list) return '-'.padStart(18)
      const value = median(list)
      const ratio = base && n !== names[0] ? ` (${(value / median(base)).toFixed(2)})` : ''
      return `${value}${ratio}`.padStart(18)
    })
    console.log([row.padEnd(26), ...cells].join(''))
  }
}

let failed = false
try {
  await main()
} catch (error) {
  failed = true
  const e = error as { stderr?: string; message: string }
  console.error(`bench: ${e.stderr || e.message}`)
} finally {
  cleanUp()
}
process.exit(failed ? 1 : 0)
