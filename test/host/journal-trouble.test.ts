// The journal where things are not as they should be: another boot, a file that cannot be read, a disk that is full.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { test } from 'node:test'
import { Journal, unreadable } from '../../src/host/journal.ts'
import { systemFiles } from '../../src/host/linux/effects.ts'
import { HELPER_PID, Machine } from './machine.ts'

const UID = 1500
const nothing = { undone: [], notes: [], failed: [] }
const folderOf = (machine: Machine) => {
  mkdirSync(`${machine.paths.run}/${UID}`, { recursive: true })
  const journal = Journal.create(UID, HELPER_PID, machine.effects())
  journal.record({ type: 'remove-run-folder', uid: UID })
  return journal
}

test('after a restart of the machine a process with the same number and start is another one', async () => {
  const machine = new Machine()
  folderOf(machine)
  assert.deepEqual(await Journal.replay(machine.effects()), nothing, 'its writer lives')
  machine.put('proc/sys/kernel/random/boot_id', 'boot-2\n')
  assert.deepEqual((await Journal.replay(machine.effects())).undone, ['rm -r /run/kt/1500'])
  assert.deepEqual(systemFiles.list(machine.paths.state), [])
  machine.remove()
})

const broken: Record<string, [text: string | undefined, why: RegExp]> = {
  empty: ['', /it is empty/],
  'cut off': ['{"version":1,"own', /no JSON/],
  'of another version': ['{"version":9,"owner":{"pid":1,"started":"1","boot":"x"},"steps":[]}', /its version is not/],
  'with a step nobody knows': [
    '{"version":1,"owner":{"pid":1,"started":"1","boot":"x"},"steps":[{"type":"run","command":"reboot"}]}',
    /its steps\.0\.type is not/,
  ],
  'no file': [undefined, /no plain file/],
}
for (const [name, [text, why]] of Object.entries(broken)) {
  test(`a journal that is ${name} is kept, and whoever starts or ends kt is told its path and why`, async () => {
    const machine = new Machine()
    const path = `${machine.paths.state}/${UID}.json`
    if (text === undefined) mkdirSync(path, { recursive: true })
    else machine.put('var/lib/kt/1500.json', text)
    const { unreadable: found } = await Journal.replay(machine.effects())
    assert.equal(found?.length, 1)
    assert.equal(found[0].path, path)
    assert.match(found[0].why, why)
    assert.match(unreadable(found[0]).hint, new RegExp(`sudo rm -r ${path}`))
    assert.throws(
      () => Journal.create(UID, HELPER_PID, machine.effects()),
      (error: Error & { code: string }) => error.code === 'journal' && error.message.includes(path),
    )
    assert.deepEqual(systemFiles.list(machine.paths.state), ['1500.json'])
    machine.remove()
  })
}

const full = () => {
  throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
}

test('on a full disk what was done is undone all the same, and the journal goes', async () => {
  const machine = new Machine()
  const effects = machine.effects()
  const files = { ...effects.files }
  const onFull = { ...effects, files }
  const journal = Journal.create(UID, HELPER_PID, onFull)
  mkdirSync(`${machine.paths.run}/${UID}`, { recursive: true })
  journal.record({ type: 'remove-run-folder', uid: UID })
  journal.record({ type: 'resolved-revert', name: 'kt0', ifindex: 7 })
  files.write = full
  assert.equal((await journal.undo(1)).undone.length, 1, 'a part')
  assert.deepEqual((await journal.undo()).undone, ['rm -r /run/kt/1500'])
  journal.close()
  assert.deepEqual(systemFiles.list(machine.paths.state), [])
  machine.remove()
})

test('on a full disk nothing is begun: the error says which folder, and what to look at', () => {
  const machine = new Machine()
  const effects = machine.effects()
  const refused = { code: 'journal', message: /cannot write down in .*var\/lib\/kt.*no space left/, hint: /`df .*kt`/ }
  assert.throws(
    () => Journal.create(UID, HELPER_PID, { ...effects, files: { ...effects.files, create: full } }),
    refused,
  )
  const journal = Journal.create(UID, HELPER_PID, { ...effects, files: { ...effects.files, write: full } })
  assert.throws(() => journal.record({ type: 'remove-run-folder', uid: UID }), refused)
  machine.remove()
})

test('the processes of a user are known from the journal while they live', () => {
  const machine = new Machine()
  machine.process(5000, '2000')
  const effects = machine.effects()
  assert.deepEqual(Journal.processes(UID, effects), {}, 'no journal')
  const journal = Journal.create(UID, HELPER_PID, effects)
  const helper = { pid: HELPER_PID, started: '1000', boot: 'boot-1' }
  assert.deepEqual(Journal.processes(UID, effects), { helper })
  journal.startedEngine(5000)
  assert.deepEqual(Journal.processes(UID, effects), {
    engine: { pid: 5000, started: '2000', boot: 'boot-1' },
    helper,
  })
  machine.process(5000, '2001')
  assert.deepEqual(Journal.processes(UID, effects), { helper }, 'a later process with the number of the engine')
  machine.remove()
})
