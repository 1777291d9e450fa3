// The reader of the documents' sessions, so that a document's test can fail.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertShown, consoleSteps, holds } from '../support/console.ts'

const document = `text
\`\`\`console
$ kt status
connected to …
…
flows      3 TCP
$ kt exchange web --expose 8080:80
requests come here
# another terminal
$ curl web
hello
# the first one
^C
ended
\`\`\`
\`\`\`sh
$ not a session
\`\`\`
`

test('commands with what they print, and which ^C ends', () => {
  assert.deepEqual(consoleSteps(document), [
    { command: 'kt status', line: 3, expected: ['connected to …', '…', 'flows      3 TCP'] },
    {
      command: 'kt exchange web --expose 8080:80',
      line: 7,
      expected: ['requests come here'],
      afterInterrupt: ['ended'],
      interruptedBefore: 3,
    },
    { command: 'curl web', line: 10, expected: ['hello'] },
  ])
  assert.throws(() => consoleSteps('```console\n$ kt down\n^C\n```'), /line 3/)
})

test('a line must be there, dots stand for what varies', () => {
  const [status] = consoleSteps(document)
  const shown = (output: string) => assertShown(status, status.expected, output, 'a.md')
  shown('connected to ktc\nsince now\n\nnode a\nflows    3 TCP\n')
  shown('connected to \nflows 3 TCP')
  assert.throws(() => shown('connected to ktc\nflows      4 TCP\n'), /a\.md:3/)
  assert.throws(() => shown('flows      3 TCP\n'), /a\.md:3/)
})

for (const blanks of [' ', '  '])
  test(`dots behind ${blanks.length} blanks at the end of a line may be nothing`, () => {
    const [step] = consoleSteps(`\`\`\`console\n$ kt run a\nmade${blanks}…\nready\n\`\`\``)
    assertShown(step, step.expected, 'made in 3 s\nready\n', 'a.md')
    assertShown(step, step.expected, 'made\nready\n', 'a.md')
    assert.throws(() => assertShown(step, step.expected, 'made\nother\nready\n', 'a.md'))
  })

test('which commands hold the terminal', () => {
  for (const command of ['kt run hello --port 8080', 'kt logs -f', 'kt forward web 8080:80', 'kt flows --watch'])
    assert.ok(holds(command), command)
  for (const command of ['kt up', 'kt exchange web --expose 80 --background', 'kt logs', 'curl run'])
    assert.ok(!holds(command), command)
})
