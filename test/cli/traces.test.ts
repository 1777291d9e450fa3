// What a user without rights can see of a kt that is gone, or cannot be reached.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { hasDevice, tracesOf } from '../../src/cli/traces.ts'
import { marker } from '../../src/host/linux/resolv-conf.ts'

let root: string
const places = () => ({ run: join(root, 'run'), resolvConf: join(root, 'resolv.conf'), devices: join(root, 'dev') })
const table = (name: string) =>
  `Inter-|   Receive  |  Transmit\n face |bytes    packets |bytes\n    lo:       0       0\n  ${name}:     104       2\n`
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kt-traces-'))
})
afterEach(() => rmSync(root, { recursive: true }))

test('a machine without kt has none, whatever is missing', () => {
  assert.deepEqual(tracesOf(1500, places()), [])
  writeFileSync(places().resolvConf, 'nameserver 9.9.9.9\n# kt\n')
  writeFileSync(places().devices, table('eth0'))
  mkdirSync(places().run)
  assert.deepEqual(tracesOf(1500, places()), [])
})

test('the folder of the socket, resolv.conf and the network device are traces, each alone', () => {
  mkdirSync(join(root, 'run/1500'), { recursive: true })
  assert.deepEqual(tracesOf(1500, places()), [join(root, 'run/1500')])
  rmSync(join(root, 'run'), { recursive: true })
  writeFileSync(places().resolvConf, `${marker('12-34')}\nnameserver 198.18.53.2\n`)
  assert.deepEqual(tracesOf(1500, places()), [places().resolvConf])
  rmSync(places().resolvConf)
  writeFileSync(places().devices, table('kt0'))
  assert.deepEqual(tracesOf(1500, places()), ['kt0'])
})

test("another user's connection is no trace of ours", () => {
  mkdirSync(join(root, 'run/1501'), { recursive: true })
  writeFileSync(places().resolvConf, `${marker('12-34')}\nnameserver 198.18.53.2\n`)
  writeFileSync(places().devices, table('kt0'))
  assert.deepEqual(tracesOf(1500, places()), [])
})

test('a device is there by its whole name', () => {
  writeFileSync(places().devices, table('kt10'))
  assert.deepEqual(
    [hasDevice('kt10', places()), hasDevice('kt1', places()), hasDevice('t10', places())],
    [true, false, false],
  )
})
