import assert from 'node:assert/strict'
import type { Effects } from '../../../src/host/effects.ts'
import { systemPaths } from '../../../src/host/effects.ts'
import { HostError } from '../../../src/host/errors.ts'
import { Journal, unreadable, writersOf } from '../../../src/host/journal.ts'
import type { Before } from '../../../src/host/linux/actions.ts'
import type { Area } from '../area.ts'
import { spoil } from '../json.ts'
import type { Random } from '../random.ts'

const MINE = `${systemPaths.state}/1500.json`
const OWNER = { pid: 4242, started: '1000', boot: 'boot-1' }
const GOOD = {
  version: 1,
  owner: OWNER,
  engine: { pid: 4243, started: '1001', boot: 'boot-1' },
  steps: [
    { type: 'delete-link', name: 'kt0', ifindex: 7 },
    { type: 'clear-link', name: 'kt0', ifindex: 7 },
    { type: 'resolved-revert', name: 'kt0', ifindex: 7 },
    {
      type: 'resolv-conf-restore',
      owner: '4242-1000',
      before: { kind: 'file', content: 'bmFtZXNlcnZlcg==', mode: 0o644, uid: 0, gid: 0, mtimeMs: 1 },
    },
    { type: 'resolv-conf-restore', owner: '4242-1000', before: { kind: 'symlink', target: '../run/x' } },
    {
      type: 'resolv-conf-restore',
      owner: '4242-1000',
      path: '/run/NetworkManager/resolv.conf',
      before: { kind: 'missing' },
    },
    { type: 'remove-run-folder', uid: 1500 },
  ],
}

/** A machine in memory that has this journal, and says what was changed on it. */
function machine(journal: string, dead: boolean): { effects: Effects; changed: string[] } {
  const files = new Map<string, string>([[MINE, journal]])
  const changed: string[] = []
  if (!dead) {
    const fields = ['S', ...Array.from({ length: 18 }, () => '0'), OWNER.started, '0']
    files.set(`/proc/${OWNER.pid}/stat`, `${OWNER.pid} (node) ${fields.join(' ')}`)
    files.set('/proc/sys/kernel/random/boot_id', `${OWNER.boot}\n`)
  }
  const missing: Before = { kind: 'missing' }
  const effects: Effects = {
    paths: systemPaths,
    files: {
      read: (path) => files.get(path),
      linkTarget: () => undefined,
      snapshot: () => missing,
      isWritable: () => true,
      isOwnFolder: () => true,
      restore: (path) => void changed.push(`restore ${path}`),
      create: (path) => !files.has(path),
      write: (path, text) => void files.set(path, text),
      poke() {},
      remove(path) {
        files.delete(path)
        changed.push(`remove ${path}`)
      },
      list: (folder) =>
        [...files.keys()].filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1)),
      folder() {},
      removeFolder: (path) => void changed.push(`remove ${path}`),
    },
    resolved: {
      answers: async () => true,
      setLink: async (_, link) => link,
      link: async () => undefined,
      revertLink: async (ifindex) => void changed.push(`revert ${ifindex}`),
    },
    run: async (argv, input) => {
      changed.push(`run ${argv.join(' ')} ${input ?? ''}`)
      return { code: 0, stdout: '[]', stderr: '' }
    },
    follow: () => () => {},
  }
  return { effects, changed }
}

async function attempt(input: Buffer, random: Random): Promise<void> {
  const dead = random.chance(80)
  const { effects, changed } = machine(input.toString(), dead)
  for (const { devices } of writersOf(effects)) for (const device of devices) assert.equal(typeof device, 'string')
  Journal.processes(1500, effects)
  assert.throws(
    () => Journal.create(1500, OWNER.pid, effects),
    (error) => error instanceof HostError && (error.code === 'journal' || error.code === 'already-running'),
  )
  const report = await Journal.replay(effects)
  for (const each of report.unreadable ?? []) assert.match(unreadable(each).message, /1500\.json cannot be used: /)
  // What cannot be read is not carried out, and stays.
  if (report.unreadable) assert.deepEqual(changed, [])
  for (const step of changed)
    assert.match(step, /^(restore |remove \/(var\/lib|run)\/kt\/|revert -?\d|run \S*ip )/, 'a change of the machine')
}

export default {
  about:
    "the undo journal, with anything in it: what is no journal is kept and told, and nothing but kt's steps is undone",
  make: (random) => {
    const text = JSON.stringify(spoil(random, GOOD)) ?? ''
    return Buffer.from(random.chance(10) ? text.slice(0, random.int(text.length)) : text)
  },
  start: () => ({ attempt }),
} satisfies Area
