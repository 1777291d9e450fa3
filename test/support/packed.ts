// out/ for tests: they ask for it with `--if-changed`, so that one packing serves all of them.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

/** Runs `./dev pack ARG...` and returns what it prints. */
export function pack(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/pack/main.ts', ...args], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return stdout
}
