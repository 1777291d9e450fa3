// What differs by operating system, played: nothing here was run on macOS or Windows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  accountOf,
  connectionTables,
  exportLine,
  networkName,
  resolvConfText,
  runFolders,
  type SystemFacts,
  stateFolder,
  systemFacts,
  userNumber,
} from '../../src/base/system.ts'

const files: Record<string, string> = {
  '/etc/passwd': 'root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n',
  '/etc/resolv.conf': 'search home.test\n',
}
const none = () => {
  throw new Error('ENOENT')
}
const linux: SystemFacts = {
  ...{ platform: 'linux', uid: 1000, gid: 1001, env: {}, home: '/home/ann', temp: '/tmp', user: 'ann' },
  read: (path) => files[path] ?? none(),
  link: (path) => (path === '/proc/self/ns/net' ? 'net:[4026531840]' : none()),
  folderOwner: (path) => ({ '/run/user/1000': 1000, '/run/other': 7 })[path],
}
const mac: SystemFacts = {
  ...{ ...linux, platform: 'darwin', uid: 501, home: '/Users/ann', temp: '/var/folders/xy/T' },
  link: none,
  folderOwner: (path) => (path === '/var/folders/xy/T' ? 501 : undefined),
}
const windows: SystemFacts = {
  ...{ platform: 'win32', uid: undefined, gid: undefined, env: { LOCALAPPDATA: 'C:\\Users\\ann\\AppData\\Local' } },
  ...{ home: 'C:\\Users\\ann', temp: 'C:\\Temp', user: 'ann', read: none, link: none, folderOwner: () => undefined },
}

test('sockets lie in a folder of the user, and in none on Windows', () => {
  assert.deepEqual(runFolders(linux, 1000), ['/run/user/1000/kt', '/tmp/kt-1000'])
  const elsewhere = { ...linux, env: { XDG_RUNTIME_DIR: '/run/other' } }
  assert.deepEqual(runFolders(elsewhere, 1000), ['/run/user/1000/kt', '/tmp/kt-1000'], 'a folder of somebody else')
  assert.deepEqual(runFolders(mac, 501), ['/var/folders/xy/T/kt', '/tmp/kt-501'])
  assert.deepEqual(runFolders(windows, 0), [])
})

test('networks of one machine are told apart where it can have several', () => {
  assert.deepEqual([linux, mac, windows].map(networkName), ['4026531840', '0', '0'])
})

test('state lies where the system has it', () => {
  assert.equal(stateFolder(linux, linux.home), '/home/ann/.local/state')
  assert.equal(stateFolder({ ...linux, env: { XDG_STATE_HOME: '/s' } }, linux.home), '/s')
  assert.equal(stateFolder({ ...linux, env: { XDG_STATE_HOME: 's' } }, linux.home), '/home/ann/.local/state')
  assert.equal(stateFolder(mac, mac.home), '/Users/ann/.local/state')
  assert.equal(stateFolder(windows, windows.home), 'C:\\Users\\ann\\AppData\\Local')
  assert.equal(stateFolder({ ...windows, env: {} }, windows.home), 'C:\\Users\\ann\\AppData\\Local')
})

test('a user is known by a number, and by the line of passwd where there is one', () => {
  assert.deepEqual([linux, mac, windows].map(userNumber), [1000, 501, 0])
  assert.deepEqual(accountOf(linux, 1000), { name: 'ann', gid: 1001, home: '/home/ann' })
  assert.equal(accountOf(mac, 501), undefined, 'people of macOS are not in passwd')
  assert.equal(accountOf(windows, 0), undefined)
})

test('the search list, and who is at the other end, are read where a file says so', () => {
  assert.deepEqual([linux, mac, windows].map(resolvConfText), ['search home.test\n', 'search home.test\n', ''])
  assert.deepEqual([linux, mac, windows].map(connectionTables), [['/proc/net/tcp', '/proc/net/tcp6'], [], []])
})

test('a line to paste is one of the shell', () => {
  assert.equal(exportLine(linux, 'A', 'b'), 'export A=b')
  assert.equal(exportLine(windows, 'A', 'b'), "$env:A = 'b'")
})

test('the facts of this machine are whole', () => {
  const facts = systemFacts()
  assert.equal(facts.platform, process.platform)
  assert.equal(facts.folderOwner('/nowhere'), undefined)
  assert.equal(facts.folderOwner(process.cwd()) !== undefined, true)
})
