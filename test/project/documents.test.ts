// The documents as a set: links and paths lead to something, each document can be reached, and prose is wrapped.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { consoleSteps } from '../support/console.ts'

const checkout = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(checkout, file), 'utf8')
const documents = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: checkout })].sort()

/** A document without what is not prose or markup: code in fences and between backquotes. */
const withoutCode = (text: string) => text.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '')

/** The anchor that GitHub gives to a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

function deadLinks(file: string): string[] {
  const links = [...withoutCode(read(file)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target)
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false
    const [path, fragment] = link.split('#')
    const target = path === '' ? file : relative(checkout, join(checkout, dirname(file), path))
    if (!existsSync(join(checkout, target))) return true
    return (
      fragment !== undefined && ![...read(target).matchAll(/^#+ (.*)$/gm)].some(([, text]) => anchor(text) === fragment)
    )
  })
}

test('each relative link in the documents leads to a file, and to a heading that is there', () => {
  assert.ok(documents.length > 15)
  assert.deepEqual(
    documents.flatMap((file) => deadLinks(file).map((link) => `${file}: ${link}`)),
    [],
  )
})

test('each document is reached from the README by links', () => {
  const seen = new Set(['README.md'])
  for (const file of seen)
    for (const [, link] of withoutCode(read(file)).matchAll(/\]\(([^)\s:#]+\.md)(?:#[^)]*)?\)/g)) {
      const target = relative(checkout, join(checkout, dirname(file), link))
      if (existsSync(join(checkout, target))) seen.add(target)
    }
  assert.deepEqual(
    documents.filter((file) => !seen.has(file)),
    [],
  )
})

test('each folder and file of the sources that a document names is there', () => {
  const missing = documents.flatMap((file) =>
    [...read(file).matchAll(/(?<![\w/.-])(?:src|test|native|bench|scripts|shadow)\/[\w/.*-]*[\w*]/g)]
      .filter(([path]) => globSync(path.replace(/\b[A-Z]+$/, '*'), { cwd: checkout }).length === 0)
      .map(([path]) => `${file}: ${path}`),
  )
  assert.deepEqual(missing, [])
})

test('each document that a source file, a test or a message names is there', () => {
  const files = globSync(
    ['{src,test,scripts,bench,native,shadow,.ci}/**/*.{ts,c,txt,sh}', 'shadow/Dockerfile', 'dev'],
    {
      cwd: checkout,
    },
  )
  const missing = [...files, ...documents].flatMap((file) =>
    [...read(file).matchAll(/(?<![\w/.-])docs\/[\w/-]+\.(?:md|svg|txt)\b/g)]
      .filter(([path]) => !existsSync(join(checkout, path)))
      .map(([path]) => `${file}: ${path}`),
  )
  assert.deepEqual(missing, [])
})

/** Lines of prose that are longer than 120 characters. Tables, code, pictures and comments may be longer. */
function longLines(file: string): number[] {
  let code = false
  return read(file)
    .split('\n')
    .flatMap((line, index) => {
      if (/^\s*```/.test(line)) code = !code
      const isProse = !code && !/^(\||!\[|<!--| {4,}\S)/.test(line)
      return isProse && [...line].length > 120 ? [index + 1] : []
    })
}

test('prose in the documents is wrapped at 120 columns', () => {
  assert.deepEqual(
    documents.flatMap((file) => longLines(file).map((line) => `${file}:${line}`)),
    [],
  )
})

test("the README's claim of speed is that of the table in performance.md", () => {
  const [table] = /^\| figure \| ssh .*?\n\n/ms.exec(read('docs/understand/performance.md'))!
  /** kt's ratios to `ssh` in the rows of this kind: the fourth cell is kt with its agent. */
  const ratios = (kind: string) =>
    table
      .split('\n')
      .filter((row) => row.split('|')[1]?.includes(kind))
      .map((row) => Number(/\((.*)\)/.exec(row.split('|')[4])![1]))
  const [, least, most] = /([\d.]+) to ([\d.]+) times the throughput/.exec(read('README.md'))!
  const throughput = ratios('MB/s')
  assert.equal(throughput.length, 4)
  assert.deepEqual([least, most], [Math.min(...throughput).toFixed(1), Math.max(...throughput).toFixed(1)])
  const cpu = ratios('CPU seconds per GB')
  assert.equal(cpu.length, 4)
  assert.match(read('README.md'), /for a quarter to two\s+fifths of its CPU time/)
  assert.deepEqual([Math.min(...cpu).toFixed(1), Math.max(...cpu).toFixed(1)], ['0.2', '0.4'])
})

test('the sessions in the documents can be read, so that the tests on a cluster can run them', () => {
  const steps = documents.flatMap((file) => {
    try {
      return consoleSteps(read(file))
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`)
    }
  })
  assert.ok(steps.length > 20)
})
