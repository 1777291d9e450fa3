// Text from outside never steers the terminal or the log, wherever it comes from.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { visible, visibleJson, visibleLines } from '../../src/base/visible.ts'
import { guardStream, own, terminalText } from '../../src/cli/terminal.ts'
import { localTime, openLog } from '../../src/daemon/log.ts'
import { until } from '../support/until.ts'

const steering = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/
const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '\x1b',
      '\x07',
      '\x9b',
      '\x7f',
      '\r',
      '\n',
      '\t',
      '\0',
      '\u202e',
      '\u2066',
      '[',
      ']',
      '0',
      'm',
      ';',
    ),
    fc.string({ minLength: 1, maxLength: 1 }),
  ),
})

test('each kind of character that steers is shown as a programmer writes it', () => {
  assert.equal(visible('a\x1b[31mb\x9b\x7f\u202e\r\n\t'), 'a\\x1b[31mb\\x9b\\x7f\\u202e\\r\\n\\t')
  assert.equal(visibleLines('a\n\tb\rc'), 'a\n\tb\\rc')
  assert.equal(visible('größe 名前 🚀'), 'größe 名前 🚀')
})

test('no text that steers is left, and text without it is not changed', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      assert.doesNotMatch(visible(text), steering)
      assert.doesNotMatch(terminalText(text).replaceAll(/[\n\t]/g, ''), steering)
      if (!steering.test(text)) assert.equal(visible(text), text)
    }),
  )
})

test('JSON has no character that steers, and the same value', () => {
  fc.assert(
    fc.property(fc.dictionary(hostile, hostile), fc.constantFrom(undefined, 2), (value, indent) => {
      const text = visibleJson(value, indent)
      assert.doesNotMatch(text.replaceAll('\n', ''), steering)
      assert.equal(JSON.stringify(JSON.parse(text)), JSON.stringify(value))
    }),
  )
})

test('sequences of our own pass, and no text from outside can pass for one', () => {
  assert.equal(terminalText(`${own('\x1b[1m')}a\x1b[2J${own('\x1b[0m')}`), '\x1b[1ma\\x1b[2J\x1b[0m')
  fc.assert(
    fc.property(hostile, hostile, (inside, outside) => {
      const text = terminalText(`${outside}${own('\x1b[1m')}${inside}`)
      assert.equal(text.split('\x1b').length, 2)
    }),
  )
})

test('whatever is written to a guarded stream is made visible, bytes pass, and its failure is told', async () => {
  const stream = new PassThrough()
  const failures: string[] = []
  guardStream(stream as unknown as NodeJS.WriteStream, ({ message }) => failures.push(message))
  stream.write('a\x1b]0;title\x07\n')
  stream.write(Buffer.from('\x1b'))
  assert.equal(String(stream.read()), 'a\\x1b]0;title\\x07\n\x1b')
  stream.destroy(new Error('no space left'))
  await until('the failure', () => failures.length > 0)
  assert.deepEqual(failures, ['no space left'])
})

test('the command line prints no character that steers, in errors of its parser too', () => {
  for (const args of [['\x1b]0;owned\x07'], ['forward', 'web\x1b[2J', '1:\x9b2'], ['--\u202eprofile']]) {
    const { stderr, stdout } = spawnSync(process.execPath, ['src/cli/main.ts', ...args], { encoding: 'utf8' })
    assert.doesNotMatch(`${stderr}${stdout}`.replaceAll('\n', ''), steering, args[0])
    assert.notEqual(stderr, '')
  }
})

test('a command of another tool is answered with what kt calls it', () => {
  // Where PATH leads here, hints have the name alone.
  const env = { ...process.env, PATH: `${resolve('bin')}:${process.env['PATH']}` }
  const kt = (command: string) =>
    spawnSync(process.execPath, ['src/cli/main.ts', command], { env, encoding: 'utf8' }).stderr
  assert.match(kt('intercept'), /unknown command 'intercept'\n.*`kt exchange TARGET/)
  assert.match(kt('quit'), /`kt down` disconnects/)
  assert.match(kt('constructor'), /`kt --help`/)
})

test('a disk that is full is told in words', { skip: process.platform !== 'linux' && 'needs /dev/full' }, () => {
  const { stderr } = spawnSync('sh', ['-c', `exec "${process.execPath}" src/cli/main.ts completion bash >/dev/full`], {
    encoding: 'utf8',
  })
  assert.match(stderr, /error: the output cannot be written: .*no space left/)
  assert.doesNotMatch(stderr, /\n {4}at /)
})

test('the log has the machine’s own time, and nothing in it steers a terminal', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-log-'))
  const path = join(folder, 'kt.log')
  try {
    openLog(path, false)('first\x1b[2J\nsecond\r')
    const read = () => readFileSync(path, 'utf8')
    const text = await until('the line', () => read().endsWith('\n') && read())
    assert.match(text, /^\d{4}-\d\d-\d\dT[\d:.]{12}[+-]\d\d:\d\d first\\x1b\[2J\n {2}second\\r\n$/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const at = new Date('2026-03-01T08:15:00.123Z')
  assert.equal(new Date(localTime(at)).getTime(), at.getTime())
})
