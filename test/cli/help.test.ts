// The topics of `kt help`: each fits a terminal, and names only commands and flags that are there.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { topicNames, topics } from '../../src/cli/topics/index.ts'

const kt = (...args: string[]) =>
  spawnSync('bin/kt', args, { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } })

test('topics fit 80 columns and a screen, and end in a newline', () => {
  for (const [name, text] of Object.entries(topics)) {
    const lines = text.split('\n')
    assert.equal(lines.at(-1), '', name)
    assert.ok(lines.length <= 40, `${name}: ${lines.length} lines`)
    for (const line of lines) assert.ok(line.length <= 80, `${name}: ${line}`)
  }
})

test('what topics tell people to type is there', () => {
  const known = new Map<string, string>()
  const helpOf = (command: string) => {
    if (!known.has(command)) known.set(command, kt(...command.split(' ').filter(Boolean), '--help').stdout)
    return known.get(command)!
  }
  const commands = [...helpOf('').matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name)
  for (const [topic, text] of Object.entries(topics)) {
    for (const [, name] of text.matchAll(/(?:^ {2}|[`(]|sudo |[A-Z_]+=\S+ |: (?=kt check))kt ([a-z]+)\b/gm))
      assert.ok(commands.includes(name) || topicNames.includes(name), `${topic}: kt ${name}`)
    for (const [flag] of text.matchAll(/--[a-z][a-z-]+/g)) {
      if (['--preserve-env'].includes(flag)) continue
      const has = commands.some((command) => helpOf(command).includes(flag)) || helpOf('config show').includes(flag)
      assert.ok(has, `${topic}: ${flag}`)
    }
  }
})

test('kt help: topics, commands, both, and neither', () => {
  assert.match(kt('help').stdout, /^Usage: kt .*\n(.*\n)*Topics .*troubleshooting\n$/)
  assert.equal(kt('help', 'rights').stdout, topics['rights'])
  assert.match(kt('help', 'dns').stdout, /^Names\n(.*\n)*Usage: kt dns /)
  assert.match(kt('help', 'dns', 'query').stdout, /^Usage: kt dns query /)
  assert.match(kt('help', 'up').stdout, /^Usage: kt up\|connect /)
  const { status, stdout, stderr } = kt('help', 'nonsense')
  assert.equal(status, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^error: there is no command or topic "nonsense"\n {7}topics: .+\n$/)
})
