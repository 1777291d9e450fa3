// Time and randomness are handed in by the composition root, so that what depends on them can be tested without waiting.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const LAYERS = ['base', 'wire', 'stack', 'tun', 'tunnel', 'shadow', 'dns', 'connection', 'cluster', 'host']

/** Where time and randomness come from, and programs, which are composition roots of their own. */
const ROOTS = ['src/base/clock.ts', 'src/base/random.ts', 'src/shadow/agent.ts', 'src/cluster/worker.ts']

/** Parts of the composition root that are given what they need all the same. */
const PARTS = ['data-path', 'local-network', 'self-check', 'up-connection', 'up-views'].map(
  (name) => `src/daemon/${name}.ts`,
)

const AMBIENT =
  /(?<![.\w])(setTimeout|setInterval)\((?!\))|\bDate\.now\b|\bperformance\.now\b|\bMath\.random\b|\b(randomBytes|randomUUID|randomInt)\(|new Date\(\)|'node:timers/

const isAmbient = (text: string) => text.split('\n').some((line) => AMBIENT.test(line.replace(/\/\/.*/, '')))

test('below the composition root nothing takes time or randomness by itself', () => {
  const layers = LAYERS.flatMap((layer) => globSync(`src/${layer}/**/*.ts`)).filter((file) => !ROOTS.includes(file))
  const files = [...layers, ...PARTS]
  assert.ok(files.length > 200)
  const found = files.filter((file) => isAmbient(readFileSync(file, 'utf8')))
  assert.deepEqual(found, [])
})

test('the check sees what it looks for', () => {
  for (const text of ['setTimeout(f, 5)', 'const now = Date.now', 'randomBytes(4)', 'x = performance.now()'])
    assert.ok(isAmbient(text), text)
  for (const text of ['socket.setTimeout(5)', '// setTimeout(f)', 'clock.after(5, f)', 'random(4)'])
    assert.ok(!isAmbient(text), text)
})
