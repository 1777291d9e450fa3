// What esbuild makes of a package that is loaded when it is needed: a CommonJS one has a default export there, and no
// others, which the sources do not show.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const dist = join(import.meta.dirname, '../../dist')

// Chunks of earlier builds, kept for programs that run.
const list = join(dist, '.superseded.json')
const superseded = existsSync(list) ? Object.keys(JSON.parse(readFileSync(list, 'utf8'))) : []

/** Names that a chunk exports: `export { a, b as c }` at its end. */
function exportsOf(chunk: string): string[] {
  const text = readFileSync(join(dist, chunk), 'utf8')
  return [...text.matchAll(/^export \{([^}]*)\}/gm), ...text.matchAll(/^export (default)\b/gm)].flatMap(([, list]) =>
    list.split(',').map((one) => one.trim().split(' as ').at(-1)!),
  )
}

test('what a program takes from a chunk that it loads when needed is exported there', () => {
  let looked = 0
  for (const file of readdirSync(dist).filter((name) => name.endsWith('.js') && !superseded.includes(name))) {
    const text = readFileSync(join(dist, file), 'utf8')
    for (const [, chunk] of text.matchAll(/\bimport\("\.\/([^"]+)"\)/g)) {
      const quoted = chunk.replaceAll('.', '\\.')
      const destructured = new RegExp(`\\{([^{}]*)\\} = await import\\("\\./${quoted}"\\)`).exec(text)?.[1]
      const taken = new RegExp(`\\(await import\\("\\./${quoted}"\\)\\)\\.(\\w+)`).exec(text)?.[1]
      const names = (destructured ?? taken ?? '').split(',').map((name) => name.trim().split(':')[0])
      assert.notDeepEqual(names, [''], `${file} loads ${chunk} in a way that this test does not read`)
      const there = exportsOf(chunk)
      for (const name of names)
        assert.ok(there.includes(name), `${file} takes ${name} from ${chunk}, which has ${there}`)
      looked++
    }
  }
  assert.ok(looked >= 3, `only ${looked} found`)
})
