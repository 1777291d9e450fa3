// Runs the tests: `./dev test [unit|lab|cluster ...]`, all by default. Prints each file as it ends, every failure whole,
// every skipped test with its reason, and at last one line: N passed, N failed, N skipped.
import { globSync } from 'node:fs'
import { relative } from 'node:path'
import { run } from 'node:test'
import { ensureCluster } from './real-cluster.ts'

const suites: Record<string, { files: string[]; concurrency: number; timeoutMs: number }> = {
  // Pure parts, the stack in virtual time, the tunnel on loopback, the addon in namespaces of its own.
  unit: {
    files: globSync('test/*/**/*.test.ts', { exclude: ['test/lab/**', 'test/cluster-real/**'] }),
    concurrency: 2,
    timeoutMs: 300_000,
  },
  // kt as a whole on the embedded lab: needs root and iproute2.
  lab: { files: globSync('test/lab/**/*.test.ts'), concurrency: 1, timeoutMs: 600_000 },
  // kt on a real Kubernetes cluster.
  cluster: { files: globSync('test/cluster-real/**/*.test.ts'), concurrency: 1, timeoutMs: 900_000 },
}

const wanted = process.argv.slice(2).filter((a) => !a.startsWith('-'))
const unknown = wanted.filter((name) => !(name in suites) && !globSync(name).length)
if (unknown.length > 0) {
  console.error(
    `test: unknown suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}, or name a test file`,
  )
  process.exit(2)
}

const totals = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []
for (const [name, suite] of Object.entries(suites)) {
  const named = wanted.filter((w) => suite.files.includes(w))
  if (wanted.length > 0 && !wanted.includes(name) && named.length === 0) continue
  const files = (named.length > 0 ? named : suite.files).sort()
  if (files.length === 0) continue
  console.log(`\n== ${name}: ${files.length} files`)
  if (name === 'cluster') {
    const cluster = await ensureCluster()
    console.log(cluster.message)
  }
  await runSuite(files, suite.concurrency, suite.timeoutMs)
}
for (const failure of failures) console.log(`\nFAILED ${failure}`)
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exit(totals.failed > 0 || totals.passed === 0 ? 1 : 0)

async function runSuite(files: string[], concurrency: number, timeoutMs: number): Promise<void> {
  const began = new Map<string, number>()
  const perFile = new Map<string, { passed: number; failed: number; skipped: number }>()
  const stream = run({ files, concurrency, timeout: timeoutMs })
  const count = (file: string | undefined) => {
    const key = relative('.', file ?? '?')
    if (!perFile.has(key)) perFile.set(key, { passed: 0, failed: 0, skipped: 0 })
    return perFile.get(key)!
  }
  stream.on('test:dequeue', ({ file }) => {
    if (file && !began.has(file)) began.set(file, performance.now())
  })
  stream.on('test:pass', (data) => {
    if (data.details.type === 'suite') return
    if (data.skip !== undefined || data.todo !== undefined) {
      count(data.file).skipped++
      totals.skipped++
      console.log(`  skipped: ${data.name}: ${data.skip === true || data.skip === '' ? 'no reason given' : data.skip}`)
      return
    }
    count(data.file).passed++
    totals.passed++
    if (process.env['KT_TEST_VERBOSE']) console.log(`  ok ${data.name} (${Math.round(data.details.duration_ms)} ms)`)
  })
  stream.on('test:fail', (data) => {
    if (data.details.type === 'suite') return
    count(data.file).failed++
    totals.failed++
    const error = data.details.error as Error & { cause?: Error }
    const cause = error.cause ?? error
    failures.push(`${relative('.', data.file ?? '?')}: ${data.name}\n${cause.stack ?? cause.message ?? cause}`)
    console.log(`  FAILED: ${data.name}`)
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
  for (const [file, c] of perFile)
    console.log(
      `  ${file}: ${c.passed} passed${c.failed ? `, ${c.failed} FAILED` : ''}${c.skipped ? `, ${c.skipped} skipped` : ''}`,
    )
}
