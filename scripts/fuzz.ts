// `./dev fuzz [AREA…] [--seconds N] [--seed S]`: tries hostile input, see CONTRIBUTING.md. Exit code 1 when something was found, and
// then the input is in test/fuzz/corpus.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Area } from '../test/fuzz/area.ts'
import { fuzz } from '../test/fuzz/fuzz.ts'

const root = join(import.meta.dirname, '..')
const there = readdirSync(join(root, 'test/fuzz/areas'))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort()

const { values, positionals } = readArguments()
const seconds = number(values.seconds ?? '10', 'seconds', /^\d+(\.\d+)?$/, 'a number of seconds')
const seed = number(values.seed ?? String(Date.now() % 2 ** 32), 'seed', /^\d+$/, 'a whole number')
const unknown = positionals.filter((name) => !there.includes(name))
if (unknown.length > 0) fail(`unknown area ${unknown.join(', ')}; there are ${there.join(', ')}`)

let findings = 0
for (const name of positionals.length > 0 ? new Set(positionals) : there) {
  const { default: area } = (await import(`../test/fuzz/areas/${name}.ts`)) as { default: Area }
  console.log(`${name}: ${area.about}`)
  const report = await fuzz({ name, area, seed, seconds, corpus: join(root, 'test/fuzz/corpus') })
  const most = Math.round(report.mostMemory / 2 ** 20)
  const longest = `${report.longestMs.toFixed(1)} ms (${report.longestInput})`
  console.log(
    `  ${report.inputs} inputs, ${report.findings.length} exceptions, longest ${longest}, most memory ${most} MiB`,
  )
  for (const finding of report.findings) console.log(`  FOUND ${finding.replaceAll('\n', '\n    ')}`)
  findings += report.findings.length
}
if (findings > 0) console.log(`\n${findings} found with --seed ${seed}; the inputs are in test/fuzz/corpus`)
process.exit(findings > 0 ? 1 : 0)

function readArguments() {
  try {
    return parseArgs({ allowPositionals: true, options: { seconds: { type: 'string' }, seed: { type: 'string' } } })
  } catch (error) {
    return fail((error as Error).message)
  }
}

function number(text: string, option: string, form: RegExp, what: string): number {
  return form.test(text) ? Number(text) : fail(`--${option} must be ${what}, not ${JSON.stringify(text)}`)
}

function fail(words: string): never {
  console.error(`fuzz: ${words}\n      usage: ./dev fuzz [AREA…] [--seconds N] [--seed S]`)
  process.exit(2)
}
