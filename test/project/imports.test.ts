import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

// Without swc, dependency-cruiser sees no .ts file and passes silently: so the check itself is checked.
test('the check of import directions sees a forbidden import', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-imports-'))
  try {
    for (const part of ['wire', 'dns', 'cli', 'control']) mkdirSync(join(folder, 'src', part), { recursive: true })
    writeFileSync(join(folder, 'src/dns/a.ts'), 'export const a: number = 1\n')
    writeFileSync(join(folder, 'src/wire/b.ts'), "import { a } from '../dns/a.ts'\nexport const b: number = a\n")
    writeFileSync(join(folder, 'src/cli/c.ts'), "import type { a } from '../dns/a.ts'\nexport type C = typeof a\n")
    writeFileSync(
      join(folder, 'src/dns/d.ts'),
      "import { createSocket } from 'node:dgram'\nexport const d = createSocket\n",
    )
    for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'])
      cpSync(resolve(file), join(folder, file))
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
    const { status, stderr } = spawnSync(process.execPath, [resolve('scripts/imports.ts')], {
      cwd: folder,
      encoding: 'utf8',
    })
    assert.equal(status, 1)
    assert.match(stderr, /wire-imports: src\/wire\/b\.ts → src\/dns\/a\.ts/)
    assert.match(stderr, /dgram-in-one-place: src\/dns\/d\.ts → dgram/)
    assert.match(stderr, /cli-imports: src\/cli\/c\.ts → src\/dns\/a\.ts/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
