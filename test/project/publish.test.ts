// A build is put into place while programs of an earlier one run, and beside other builds.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { publish } from '../../scripts/publish.ts'

const DAY = 24 * 3600_000
let folder: string
let dist: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-publish-'))
  dist = join(folder, 'dist')
})
afterEach(() => rmSync(folder, { recursive: true }))

function build(files: Record<string, string>): string {
  const built = mkdtempSync(join(folder, 'built-'))
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(built, file)), { recursive: true })
    writeFileSync(join(built, file), content)
  }
  return built
}
const there = () => readdirSync(dist, { recursive: true }).map(String).sort()

test('all files of a build are there, and those that are the same are left alone', () => {
  publish(build({ 'cli.js': 'one', 'dashboard/page.js': 'page' }), dist, 0)
  const before = statSync(join(dist, 'dashboard/page.js'))
  publish(build({ 'cli.js': 'two', 'dashboard/page.js': 'page' }), dist, 0)
  assert.deepEqual(there(), ['.superseded.json', 'cli.js', 'dashboard', 'dashboard/page.js'])
  assert.equal(readFileSync(join(dist, 'cli.js'), 'utf8'), 'two')
  assert.equal(statSync(join(dist, 'dashboard/page.js')).ino, before.ino)
})

test('a chunk that no build has any more stays three days for the programs that run', () => {
  publish(build({ 'cli.js': '1', 'chunk-AAAAAAAA.js': 'a' }), dist, 0)
  publish(build({ 'cli.js': '2', 'chunk-BBBBBBBB.js': 'b' }), dist, 10 * DAY)
  publish(build({ 'cli.js': '3', 'chunk-BBBBBBBB.js': 'b' }), dist, 12.9 * DAY)
  assert.ok(existsSync(join(dist, 'chunk-AAAAAAAA.js')))
  publish(build({ 'cli.js': '3', 'chunk-BBBBBBBB.js': 'b' }), dist, 13 * DAY)
  assert.deepEqual(there(), ['.superseded.json', 'chunk-BBBBBBBB.js', 'cli.js'])
})

test('a chunk that comes back is not removed', () => {
  publish(build({ 'chunk-AAAAAAAA.js': 'a' }), dist, 0)
  publish(build({ 'cli.js': '' }), dist, DAY)
  publish(build({ 'cli.js': '', 'chunk-AAAAAAAA.js': 'a' }), dist, 2 * DAY)
  publish(build({ 'cli.js': '' }), dist, 5 * DAY)
  assert.ok(existsSync(join(dist, 'chunk-AAAAAAAA.js')))
})

test('what a program imports is in place before the program is', () => {
  mkdirSync(join(dist, 'cli.js/in-the-way'), { recursive: true })
  assert.throws(() => publish(build({ 'cli.js': 'new', 'chunk-AAAAAAAA.js': 'a' }), dist, 0))
  assert.ok(existsSync(join(dist, 'chunk-AAAAAAAA.js')))
})

test('two builds at once: whoever reads meanwhile finds whole programs with their chunks', async () => {
  const script = `
    import { mkdtempSync, writeFileSync } from 'node:fs'
    import { join } from 'node:path'
    import { workerData } from 'node:worker_threads'
    const { module, folder, which } = workerData
    const { publish } = await import(module)
    for (let n = 0; n < 100; n++) {
      const built = mkdtempSync(join(folder, 'built-'))
      const name = 'chunk-' + which.repeat(4) + String(n).padStart(4, '0') + '.js'
      const text = name + '\\n' + 'x'.repeat(100_000) + '\\nend'
      writeFileSync(join(built, name), text)
      writeFileSync(join(built, 'cli.js'), text)
      publish(built, join(folder, 'dist'), n)
    }`
  publish(build({ 'cli.js': 'chunk-START000.js\nend', 'chunk-START000.js': 'end' }), dist, 0)
  const module = new URL('../../scripts/publish.ts', import.meta.url).href
  let running = 2
  const errors: unknown[] = []
  for (const which of ['A', 'B']) {
    const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`)
    const worker = new Worker(url, { workerData: { module, folder, which } })
    worker.on('error', (error) => errors.push(error))
    worker.on('exit', () => running--)
  }
  let seen = 0
  while (running > 0) {
    const text = readFileSync(join(dist, 'cli.js'), 'utf8')
    assert.ok(text.endsWith('end'))
    assert.ok(readFileSync(join(dist, text.split('\n')[0]), 'utf8').endsWith('end'))
    seen++
    await new Promise(setImmediate)
  }
  assert.deepEqual(errors, [])
  assert.ok(seen > 0)
})
