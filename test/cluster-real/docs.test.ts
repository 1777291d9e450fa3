// Every session shown in the documents, run as it stands on a laptop of a real cluster, as the person `dev`: each command
// must end with 0 and print what the document says.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { assertShown, consoleSteps, holds, type Step } from '../support/console.ts'
import { realCluster } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const LAPTOP = 'doc'
const DEADLINE_MS = 60_000

// As the README says. sudo has a PATH of its own, in which this kt is not.
const shell = `cd; export PATH=${checkout}/bin:$PATH NO_COLOR=1
`

class Running {
  readonly step: Step
  readonly child: ChildProcess
  said = ''
  readonly exit: Promise<number | null>
  over = false

  constructor(step: Step) {
    this.step = step
    // A process group of its own, so that ^C reaches all of it, as in a terminal.
    const program = step.command.replace(/ &$/, '')
    const held =
      holds(program) || program !== step.command
        ? `exec setsid -w sh -c 'echo "pid $$"; exec ${program.replaceAll("'", `'\\''`)}'`
        : program
    const words = ['laptop', '--as', LAPTOP, 'su', '-', 'dev', '-s', '/bin/bash', '-c', shell + held]
    this.child = spawn((cluster as { program: string }).program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const output of [this.child.stdout!, this.child.stderr!])
      output.setEncoding('utf8').on('data', (text: string) => {
        this.said += text
      })
    this.exit = new Promise((resolve) => {
      this.child.once('close', (code) => {
        this.over = true
        resolve(code)
      })
    })
  }

  /** What it has said, without the line that tells its pid. */
  get shown(): string {
    return this.said.replace(/^pid \d+\n/m, '')
  }

  interrupt(): void {
    process.kill(-Number(/^pid (\d+)$/m.exec(this.said)?.[1]), 'SIGINT')
  }

  end(): void {
    try {
      this.interrupt()
    } catch {
      this.child.kill()
    }
  }
}

for (const file of globSync(['README.md', 'docs/**/*.md'], { cwd: checkout }).sort()) {
  const steps = consoleSteps(readFileSync(join(checkout, file), 'utf8'))
  if (steps.length === 0) continue
  test(`${file}: ${steps.length} commands`, { skip, timeout: 600_000 }, async () => {
    const left: Running[] = []
    const clean = async () => void (await new Running({ command: 'kt down', line: 0, expected: [] }).exit)
    await clean()
    after(async () => {
      for (const running of left) if (!running.over) running.end()
      await clean()
    })
    const held: [Running, number][] = []
    const interrupt = async (before: number) => {
      for (const [running, shownAlready] of held.splice(0)) {
        if (running.step.interruptedBefore !== before) {
          held.push([running, shownAlready])
          continue
        }
        running.interrupt()
        assert.equal(await running.exit, 0, `${file}:${running.step.line}: ${running.said}`)
        assertShown(running.step, running.step.afterInterrupt ?? [], running.shown.slice(shownAlready), file)
      }
    }
    for (const [index, step] of steps.entries()) {
      await interrupt(index)
      const running = new Running(step)
      left.push(running)
      const shows = () => assertShown(step, step.expected, running.shown, file)
      if (holds(step.command) || step.command.endsWith('&')) {
        await until(
          `${file}:${step.line}: ${step.command} shows what the document says`,
          () => {
            if (running.over) shows()
            try {
              if (running.shown || step.expected.length > 0) shows()
              return running.said !== ''
            } catch {
              return undefined
            }
          },
          DEADLINE_MS,
        ).catch((error: Error) => {
          throw new Error(`${error.message}; it said:\n${running.said}`)
        })
        const port = /&$/.test(step.command) && /\b\d{4,5}\b/.exec(step.command)?.[0]
        const listens = { command: `ss -Hltn 'sport = :${port}' | grep -q .`, line: step.line, expected: [] }
        if (port)
          await until(
            `${file}:${step.line}: ${step.command} listens`,
            async () => (await new Running(listens).exit) === 0 || undefined,
            DEADLINE_MS,
          )
        if (holds(step.command)) held.push([running, running.shown.length])
        continue
      }
      let last = running
      const right = async () => {
        assert.equal(await last.exit, 0, `${file}:${step.line}: $ ${step.command}\n${last.said}`)
        assertShown(step, step.expected, last.shown, file)
      }
      // Nodes hear of a Service's new endpoints a moment after the API server has them; CoreDNS keeps an NXDOMAIN for 30 s.
      for (let tries = 0; tries < 40 && step.command.startsWith('curl'); tries++) {
        if (
          await right().then(
            () => true,
            () => false,
          )
        )
          break
        await delay(1000)
        last = new Running(step)
      }
      await right()
    }
    await interrupt(steps.length)
  })
}
