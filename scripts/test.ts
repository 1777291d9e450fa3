// Runs the tests: `./dev test [unit|lab|cluster ...]`, all by default. Prints each file as it ends, every failure whole,
// every skipped test with its reason, and at last one line: N passed, N failed, N skipped. A few files that fail are run
// once more, alone: what passes then is told as unstable with its first failure, so that it is seen and can be mended.
// `--cluster-version V` runs the cluster's tests on a cluster of that version of Kubernetes.
import { globSync } from 'node:fs'
import { relative } from 'node:path'
import { run } from 'node:test'
import { parseArgs } from 'node:util'
import { checkPrerequisites } from '../test/lab/namespaces.ts'
import { missing } from '../test/support/programs.ts'
import { ensureCluster } from './real-cluster.ts'

const suites: Record<string, { files: string[]; concurrency: number; timeoutMs: number }> = {
  // Pure parts, the stack in virtual time, the tunnel on loopback, the addon in namespaces of its own.
  unit: {
    files: globSync('test/*/**/*.test.ts', { exclude: ['test/lab/**', 'test/cluster-real/**', 'test/pack/**'] }),
    concurrency: 2,
    timeoutMs: 300_000,
  },
  // kt as a whole on the embedded lab: needs root and iproute2.
  lab: { files: globSync('test/lab/**/*.test.ts'), concurrency: 1, timeoutMs: 600_000 },
  // kt on a real Kubernetes cluster.
  cluster: { files: globSync('test/cluster-real/**/*.test.ts'), concurrency: 1, timeoutMs: 900_000 },
  // What `./dev pack` makes. Downloads its tools the first time, so it runs only when it is named.
  pack: { files: globSync('test/pack/**/*.test.ts'), concurrency: 1, timeoutMs: 900_000 },
}

const { wanted, clusterVersion } = parseWords(process.argv.slice(2))
const unknown = wanted.filter((name) => !(name in suites) && !globSync(name).length)
if (unknown.length > 0) {
  console.error(
    `test: unknown suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}, or name a test file`,
  )
  process.exit(2)
}
const ofCluster = wanted.filter((name) => name === 'cluster' || suites['cluster'].files.includes(name))
if (clusterVersion && wanted.length > 0 && ofCluster.length === 0) {
  console.error('test: --cluster-version is for the tests of the cluster, and none is named')
  process.exit(2)
}

/** More files than this do not fail by accident. */
const MOST_REPEATED = 3

interface FileResult {
  passed: number
  skipped: number
  /** Name and error of each test that failed. */
  failures: string[]
}

const results: FileResult[] = []
const unstable: string[] = []
for (const [name, suite] of Object.entries(suites)) {
  const named = wanted.filter((w) => suite.files.includes(w))
  if (wanted.length > 0 && !wanted.includes(name) && named.length === 0) continue
  if (wanted.length === 0 && name === 'pack') continue
  const files = (named.length > 0 ? named : suite.files).sort()
  if (files.length === 0) continue
  console.log(`\n== ${name}: ${files.length} files`)
  if (name === 'cluster') {
    const cluster = await ensureCluster({ version: clusterVersion })
    console.log(cluster.message)
    if (cluster.failed) {
      results.push({ passed: 0, skipped: 0, failures: [cluster.message] })
      continue
    }
  }
  const why = name === 'lab' ? noLab() : undefined
  if (why) {
    console.log(`  skipped: all of the lab: ${why}`)
    results.push({ passed: 0, skipped: files.length, failures: [] })
    continue
  }
  const first = await runFiles(files, suite.concurrency, suite.timeoutMs)
  const failed = [...first].filter(([, { failures }]) => failures.length > 0).map(([file]) => file)
  // A suite that several files share is told under its own name, which is no file to run: its failures stand.
  if (failed.length > 0 && failed.length <= MOST_REPEATED && failed.every((file) => files.includes(file))) {
    console.log(`\n== ${name}, once more: ${failed.join(', ')}`)
    const second = await runFiles(failed, 1, suite.timeoutMs)
    for (const file of failed) {
      const result = second.get(file)
      if (!result) continue
      if (result.failures.length === 0) unstable.push(...first.get(file)!.failures)
      first.set(file, result)
    }
  }
  results.push(...first.values())
}
for (const text of unstable) console.log(`\nUNSTABLE, passed the second time: ${text}`)
const failures = results.flatMap((result) => result.failures)
for (const text of failures) console.log(`\nFAILED ${text}`)
const sum = (of: (result: FileResult) => number) => results.reduce((total, result) => total + of(result), 0)
const passed = sum((result) => result.passed)
console.log(`\n${passed} passed, ${failures.length} failed, ${sum((result) => result.skipped)} skipped`)
process.exit(failures.length > 0 || passed === 0 ? 1 : 0)

function parseWords(words: string[]): { wanted: string[]; clusterVersion: string | undefined } {
  try {
    const { values, positionals } = parseArgs({
      args: words,
      allowPositionals: true,
      options: { 'cluster-version': { type: 'string' } },
    })
    const version = values['cluster-version']
    if (version !== undefined && !/^v?\d+\.\d+\.\d+$/.test(version))
      throw new Error(`--cluster-version ${version} is no version, which is like 1.37.2`)
    return { wanted: positionals, clusterVersion: version }
  } catch (error) {
    console.error(`test: ${(error as Error).message}`)
    process.exit(2)
  }
}

/** Why this machine cannot hold the lab as its tests use it. */
function noLab(): string | undefined {
  try {
    checkPrerequisites()
    return missing('sudo') || undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function runFiles(files: string[], concurrency: number, timeoutMs: number): Promise<Map<string, FileResult>> {
  const perFile = new Map<string, FileResult>()
  const of = (file: string | undefined): FileResult => {
    const key = relative('.', file ?? '?')
    if (!perFile.has(key)) perFile.set(key, { passed: 0, skipped: 0, failures: [] })
    return perFile.get(key)!
  }
  const stream = run({ files, concurrency, timeout: timeoutMs })
  stream.on('test:pass', (data) => {
    // A suite that is skipped does not tell of its tests.
    if (data.details.type === 'suite' && data.skip === undefined) return
    if (data.skip !== undefined || data.todo !== undefined) {
      of(data.file).skipped++
      console.log(`  skipped: ${data.name}: ${data.skip === true || data.skip === '' ? 'no reason given' : data.skip}`)
      return
    }
    of(data.file).passed++
    if (process.env['KT_TEST_VERBOSE']) console.log(`  ok ${data.name} (${Math.round(data.details.duration_ms)} ms)`)
  })
  stream.on('test:fail', (data) => {
    if (data.details.type === 'suite') return
    const error = data.details.error as Error & { cause?: Error }
    const cause = error.cause ?? error
    const file = relative('.', data.file ?? '?')
    of(data.file).failures.push(`${file}: ${data.name}\n${cause.stack ?? cause.message ?? cause}`)
    console.log(`  FAILED: ${data.name}\n    ${String(cause.message ?? cause).replaceAll('\n', '\n    ')}`)
  })
  stream.on('test:stderr', ({ message }) => {
    if (process.env['KT_TEST_VERBOSE']) process.stderr.write(message)
  })
  stream.on('test:stdout', ({ message }) => {
    for (const line of message.split('\n')) if (line.trim()) console.log(`    | ${line}`)
  })
  await new Promise<void>((resolve) => {
    stream.on('end', resolve)
    stream.resume()
  })
  for (const [file, { passed, skipped, failures }] of perFile)
    console.log(
      `  ${file}: ${passed} passed${failures.length ? `, ${failures.length} FAILED` : ''}${skipped ? `, ${skipped} skipped` : ''}`,
    )
  return perFile
}
