// Which of several that are held is meant, and what is said where nobody can tell.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseHolder } from '../../src/cli/commands/leave.ts'
import type { CliError } from '../../src/cli/output.ts'
import type { LiveHolder } from '../../src/control/holders.ts'

const holder = (namespace: string, version: string | null) =>
  ({ held: { kind: version ? 'mesh' : 'exchange', target: 'web', namespace, version } }) as unknown as LiveHolder

test('of several, the commands are said that end each', () => {
  const all = [holder('shop', 'version: blue'), holder('shop', 'version: g*'), holder('test', null)]
  const hint = (holders: LiveHolder[]) => {
    try {
      chooseHolder(holders, 'web', undefined, undefined)
    } catch (error) {
      return (error as CliError).hint
    }
  }
  assert.equal(
    hint(all),
    "name one: `kt leave web -n shop --version-mark version:blue` or `kt leave web -n shop --version-mark 'version:g*'` or `kt leave web -n test`",
  )
  assert.equal(chooseHolder(all, 'service/web', 'shop', 'version:blue'), all[0])
  assert.equal(chooseHolder(all, 'web', 'shop', 'version:g*'), all[1])
  assert.equal(chooseHolder(all, 'web', 'test', undefined), all[2])
})
