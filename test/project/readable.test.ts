// A checkout that other users may not enter is shown to them at another place: tests run programs as such users from there.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import { cannotRun } from '../tun/namespace.ts'

const skip = cannotRun()
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-readable-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Makes a folder `from` by `make`, shows it at `to`, and says what `commands` print there as a user without rights. */
async function shown(make: string, commands: string): Promise<string[]> {
  const script = `chmod 755 "$1"; cd "$1"; mkdir -p from/sub from/.git to && echo text >from/sub/file && echo more >from/.dot && ln -s sub/file from/link
${make}
sh ${resolve('test/support/readable.sh')} "$1/from" "$1/to"
cd "$1/to" && setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '${commands}' 2>&1`
  const words = ['-m', '--propagation', 'private', 'sh', '-ec', script, 'sh', folder]
  const { stdout } = await promisify(execFile)('unshare', words, { timeout: 60_000 })
  return stdout.trim().split('\n')
}

for (const [what, make] of [
  ['closed to others itself', 'chmod 700 from'],
  ['made with umask 077', 'chmod -R go= from'],
])
  test(`a folder that is ${what} can be read there, and not written`, { skip }, async () => {
    const commands = 'cat sub/file .dot link; [ -e .git ] || echo no .git; touch sub/file 2>/dev/null || echo read only'
    assert.deepEqual(await shown(make, commands), ['text', 'more', 'text', 'no .git', 'read only'])
  })

test('root cannot write there either, so that no test changes the checkout', { skip }, async () => {
  const script = `mkdir -p "$1/from/sub" "$1/to" && sh ${resolve('test/support/readable.sh')} "$1/from" "$1/to"
for place in "$1/to/new" "$1/to/sub/new"; do touch "$place" 2>/dev/null && echo "wrote $place"; done; true`
  const words = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', folder]
  assert.equal((await promisify(execFile)('unshare', words, { timeout: 60_000 })).stdout, '')
})
