// The fuzzing itself: it sees what goes wrong, makes the same inputs again, and keeps what it found; and what was found once is tried
// again here in every area.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { Area } from './area.ts'
import { fuzz } from './fuzz.ts'

const corpus = mkdtempSync(join(tmpdir(), 'kt-corpus-'))
after(() => rmSync(corpus, { recursive: true }))

/** An area with a fault in it: inputs that hold this byte. */
const faulty = (attempt: (input: Buffer) => void | Promise<void>): Area => ({
  about: 'has a fault',
  make: (random) => random.bytes(50),
  start: () => ({ attempt: (input) => (input.includes(7) ? attempt(input) : undefined) }),
})

describe('the fuzzing', () => {
  it('finds what throws, keeps it, and tries it first the next time', async () => {
    const area = faulty(() => assert.fail('seven'))
    const run = { name: 'throws', area, seed: 3, corpus }
    const first = await fuzz({ ...run, seconds: 5 })
    assert.match(first.findings[0], /^input \d+ of seed 3: .*seven/s)
    const files = readdirSync(join(corpus, 'throws'))
    assert.equal(files.length, first.findings.length)
    for (const file of files)
      assert.ok(Buffer.from(readFileSync(join(corpus, 'throws', file), 'utf8').replace(/\s/g, ''), 'hex').includes(7))
    const again = await fuzz({ ...run, seconds: 0 })
    assert.equal(again.inputs, files.length)
    assert.match(again.findings[0], /^corpus /)
    assert.equal(readdirSync(join(corpus, 'throws')).length, files.length)
  })

  it('makes the same inputs of the same seed', async () => {
    const made: string[][] = []
    for (const seed of [9, 9, 10]) {
      const inputs: string[] = []
      const area = faulty(() => {})
      await fuzz({
        name: 'same',
        area: { ...area, start: () => ({ attempt: (input) => void inputs.push(input.toString('hex')) }) },
        seed,
        seconds: 0.2,
        corpus,
      })
      made.push(inputs.slice(0, 50))
    }
    assert.ok(made[0].length > 10)
    const least = Math.min(...made.map(({ length }) => length))
    assert.deepEqual(made[0].slice(0, least), made[1].slice(0, least))
    assert.notDeepEqual(made[0].slice(0, least), made[2].slice(0, least))
  })
})

describe('what was found before', () => {
  for (const file of readdirSync(join(import.meta.dirname, 'areas')))
    it(`is found no more: ${file.replace('.ts', '')}`, async () => {
      const { default: area } = (await import(`./areas/${file}`)) as { default: Area }
      const name = file.replace('.ts', '')
      const report = await fuzz({ name, area, seed: 1, seconds: 0.3, corpus: join(import.meta.dirname, 'corpus') })
      assert.deepEqual(report.findings, [])
      assert.ok(report.inputs > 0)
    })
})
