// A folder that cannot be written, as /etc of a read-only system is, on the real file system in a mount namespace.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const inside = (script: string) =>
  run('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-euc', script, process.execPath], { timeout: 30_000 })
const cannot = await inside('mount -t tmpfs none /mnt').then(
  () => false as const,
  (error: Error) => `mount namespaces cannot be made here: ${error.message}`,
)

const system = JSON.stringify(new URL('../../src/host/linux/effects.ts', import.meta.url).href)
const place = JSON.stringify(new URL('../../src/host/linux/resolv-conf-place.ts', import.meta.url).href)

/** Runs JavaScript where /mnt/etc is read-only and /mnt/run is not. `setUp` is done before it is, `afterwards` after. */
const readOnly = (setUp: string, script: string, afterwards = '') =>
  inside(
    `mount -t tmpfs -o mode=755 none /mnt; mkdir /mnt/etc /mnt/run; chmod 755 /mnt/etc /mnt/run; ${setUp}
mount --bind /mnt/etc /mnt/etc; mount -o remount,ro,bind /mnt/etc; ${afterwards}
exec "$0" --input-type=module -e '
import { systemFiles as files } from ${system}
import { findResolvConfPlace, installResolvConf } from ${place}
const path = "/mnt/etc/resolv.conf"
const effects = { files, paths: { resolvConf: path } }
const place = () => findResolvConfPlace("1-2", effects)
const install = (at) => installResolvConf(at, "ours\\n", effects)
const fails = (call) => { try { call() } catch (error) { return error.code + "|" + error.message + "|" + error.hint } }
console.log(JSON.stringify((() => { ${script} })()))'`,
  ).then(({ stdout }) => JSON.parse(stdout) as unknown)

test('a link to a file that can be written: that file is written, and put back', { skip: cannot }, async () => {
  const result = await readOnly(
    'echo theirs >/mnt/run/resolv.conf; chmod 644 /mnt/run/resolv.conf; ln -s ../run/resolv.conf /mnt/etc/resolv.conf',
    'const found = place(); install(found.path); const now = files.read(path); files.restore(found.path, found.before); return [found.path, now, files.read(path), files.list("/mnt/run")]',
  )
  assert.deepEqual(result, ['/mnt/run/resolv.conf', 'ours\n', 'theirs\n', ['resolv.conf']])
})

test('a link that leads nowhere yet: the file is made, and removed', { skip: cannot }, async () => {
  const result = await readOnly(
    'ln -s ../run/resolv.conf /mnt/etc/resolv.conf',
    'const found = place(); install(found.path); const now = files.read(path); files.restore(found.path, found.before); return [now, files.list("/mnt/run")]',
  )
  assert.deepEqual(result, ['ours\n', []])
})

test('a file that is mounted there alone (a container): it is written in place', { skip: cannot }, async () => {
  const result = await readOnly(
    'echo theirs of old >/mnt/run/mounted; touch /mnt/etc/resolv.conf',
    'const found = place(); install(path); const now = files.read(path); files.restore(path, found.before); return [found.path, now, files.read(path)]',
    'mount --bind /mnt/run/mounted /mnt/etc/resolv.conf',
  )
  assert.deepEqual(result, [null, 'ours\n', 'theirs of old\n'])
})

test('nothing can be written: the reason is told, with what to do', { skip: cannot }, async () => {
  const file = await readOnly('echo theirs >/mnt/etc/resolv.conf', 'place(); return fails(() => install(path))')
  assert.match(
    String(file),
    /^resolv-conf\|\/mnt\/etc\/resolv\.conf cannot be replaced: \/mnt\/etc is on a read-only file system\|/,
  )
  assert.match(String(file), /--dns none/)
  const both = await readOnly('touch /mnt/etc/real; ln -s real /mnt/etc/resolv.conf', 'return fails(place)')
  assert.match(
    String(both),
    /neither can the folder of \/mnt\/etc\/real, where it leads\|mount one of them writable; or/,
  )
  const others = await readOnly(
    'mkdir -m 777 /mnt/run/all; ln -s ../run/all/resolv.conf /mnt/etc/resolv.conf',
    'return fails(place)',
  )
  assert.match(String(others), /leads to \/mnt\/run\/all\/resolv\.conf, in a folder that is not root's alone\|/)
})
