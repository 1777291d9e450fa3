import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { whoCalls } from '../../src/cli/caller.ts'
import { CliError } from '../../src/cli/output.ts'
import { PlainProgram, programEnvironment } from '../../src/cli/program.ts'
import type { ProgramPlace } from '../../src/control/place.ts'

const place = (variables: Record<string, string>, root: string | null = '/run/x'): ProgramPlace => ({
  pod: 'p',
  namespace: 'shop',
  container: 'app',
  containers: ['app', 'helper'],
  variables: Object.entries(variables).map(([name, value]) => ({ name, value })),
  missing: [{ name: 'PASSWORD', why: 'you may not get secrets' }],
  root,
})

test("a container's variables come on top of this machine's, but for those that say where things are", () => {
  const own = { PATH: '/bin', HOME: '/home/ann', LEVEL: 'mine', KEEP: '1' }
  const { env, kept } = programEnvironment(
    own,
    place({ PATH: '/app', HOME: '/home/ann', LEVEL: 'info', 'odd=': 'x', NUL: 'a\0b' }),
  )
  assert.deepEqual(env, { PATH: '/bin', HOME: '/home/ann', LEVEL: 'info', KEEP: '1', KT_ROOT: '/run/x' })
  assert.deepEqual(kept, ['PATH'])
  assert.deepEqual(programEnvironment(own, undefined), { env: own, kept: [] })
})

test('a program that is not there is told before anything is done', () => {
  assert.throws(() => new PlainProgram(['no-such-program-of-kt'], whoCalls()), CliError)
  assert.throws(() => new PlainProgram(['./no-such-program'], whoCalls()), CliError)
})

test('its exit code is known, also when a signal ended it, and what a person should know is said', async () => {
  const said: string[] = []
  const say = (line: string) => void said.push(line)
  assert.equal(await new PlainProgram(['sh', '-c', 'exit 7'], whoCalls()).start(undefined, say), 7)
  assert.deepEqual(said, [])
  const killed = new PlainProgram(['sh', '-c', 'test "$LEVEL" = info && kill -9 $$'], whoCalls())
  assert.equal(await killed.start(place({ LEVEL: 'info', SHELL: '/none' }), say), 137)
  assert.equal(killed.runs, false)
  assert.deepEqual(said, [
    'your program has the environment of container app (of app, helper) and its files below $KT_ROOT, /run/x',
    'as on this machine, not as in the container: SHELL',
    'left out: PASSWORD: you may not get secrets',
  ])
})

test('SIGTERM goes on to it', async () => {
  const program = new PlainProgram(['sleep', '60'], whoCalls())
  const code = program.start(undefined, () => {})
  assert.equal(program.runs, true)
  program.signal('SIGTERM', 0)
  assert.equal(await code, 143)
})

test('the page on the environment names each variable that keeps its value of this machine', () => {
  const [, names] = /const STAYS =\s*\/\^\(([^)]*)\)/.exec(readFileSync('src/cli/program.ts', 'utf8'))!
  const [, said] = /- \*\*Environment\.\*\*(.*?)\n- /s.exec(readFileSync('docs/use/environment.md', 'utf8'))!
  const named = [...said.matchAll(/`([A-Z_]+)`/g)].map(([, name]) => name)
  assert.deepEqual(named.sort(), names.replaceAll('.*', '').split('|').sort())
})
