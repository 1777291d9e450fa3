// The helper for real: in a network and mount namespace of its own, with its own /etc, /run and /var/lib, and the fake
// engine. The scenarios are in helper-scenarios.ts.
import { test } from 'node:test'
import { cannotRun } from '../tun/namespace.ts'
import { runScenario } from './helper-namespace.ts'

const scenarios = {
  'up-down': 'up, and down by SIGTERM: routes, rules, resolv.conf and hosts byte for byte as before',
  'engine-killed': 'SIGKILL of the engine: the helper undoes everything and ends',
  'both-killed': 'SIGKILL of both: `helper undo` puts everything back, and the next up does so too',
  who: 'the engine is the user with all the groups, without a way back to root, in a clean environment',
  'caller-gone': 'the caller goes before ready: everything is undone',
  crash: 'an engine that falls over is told with its last words',
  refused: 'what does not fit the schema is refused and changes nothing',
  conflict: 'a conflicting route is an error that names it; nothing is left',
  detached: 'after ready the caller gets the end of its pipes, and the helper survives SIGHUP',
  deaf: 'an engine that does not end when told is ended',
  rewritten: 'resolv.conf rewritten by another program: its resolvers are told, ours is put back, theirs restored',
  changed: 'a device set down, an address and routes that are removed are put back at once',
  'mount-point': 'a resolv.conf that is a mount point is replaced in place and restored',
  'two-at-once': 'a second helper of the same user is refused',
  closed: 'kt in a folder that its user may not enter is an error that says where to put it',
  'disk-full':
    'a disk that fills up while connected: everything is undone, no temporary file stays, and a start says why not',
  'journal-broken': 'an empty journal is named, by a start at once and by `helper undo`',
  stopped: 'a stopped engine and a stopped helper are ended by `helper undo --end`, and everything is undone',
  'no-run': 'a /run that is read-only is told in words',
  'no-tun': 'no /dev/net/tun is its own error, nothing is left',
}

for (const [scenario, proves] of Object.entries(scenarios))
  test(proves, { skip: cannotRun() }, () => runScenario('./helper-scenarios.ts', scenario))
