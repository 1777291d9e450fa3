// The helper behind its socket, for real, with the fake engine. The scenarios are in helper-socket-scenarios.ts.
import { test } from 'node:test'
import { cannotRun } from '../tun/namespace.ts'
import { runScenario } from './helper-namespace.ts'

const scenarios = {
  'as-caller': 'the engine is the user who opened the socket, with the groups of that user, without a way back to root',
  'names-another': 'a call that names a user, a log or anything else that is not known is refused and changes nothing',
  'undo-own': 'a caller ends and undoes the kt of its own user only',
  'left-alone': 'after ready the caller may go; before it, the going of the caller undoes everything',
  'one-each': 'a second call of a user who is connected is refused; another user is not kept from connecting',
}

for (const [scenario, proves] of Object.entries(scenarios))
  test(proves, { skip: cannotRun() }, () => runScenario('./helper-socket-scenarios.ts', scenario))
