// What the tests of kt on the lab share: a lab with a laptop, its state before kt, and what must hold when kt has gone.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { labMachine, type Machine, type RunOptions, type RunResult } from '../support/machine.ts'
import { type NetworkState, stateDifferences } from '../support/network-state.ts'
import { until } from '../support/until.ts'
import { type Lab, type LabOptions, startLab } from './lab.ts'
import { pidsIn } from './namespaces.ts'

export interface KtProcesses {
  engine: number | undefined
  helper: number | undefined
}

export class KtLab implements AsyncDisposable {
  readonly lab: Lab
  readonly machine: Machine
  readonly before: NetworkState

  private constructor(lab: Lab, machine: Machine, before: NetworkState) {
    this.lab = lab
    this.machine = machine
    this.before = before
  }

  static async start(options?: LabOptions): Promise<KtLab> {
    const lab = await startLab(options)
    const machine = labMachine(lab.laptop)
    return new KtLab(lab, machine, await machine.state())
  }

  /** `sudo kt up` as `dev`; fails the test with what kt said unless it is connected. */
  async up(args: string[] = [], options: RunOptions & { sudo?: boolean } = {}): Promise<RunResult> {
    const result = await this.machine.kt(['up', ...args], { sudo: true, ...options })
    assert.equal(result.code, 0, `kt up: ${result.stdout}${result.stderr}${await this.logs()}`)
    return result
  }

  /** `sudo kt down`, and the machine and the cluster must be as before. */
  async down(): Promise<void> {
    const { code, stdout, stderr } = await this.machine.kt(['down'], { sudo: true })
    assert.equal(code, 0, `kt down: ${stdout}${stderr}`)
    await this.assertRestored()
    await this.assertClusterClean()
  }

  // biome-ignore lint/suspicious/noExplicitAny: docs/reference/status.md has the keys
  async status(): Promise<Record<string, any>> {
    const { stdout, stderr } = await this.machine.kt(['status', '--json'])
    assert.ok(stdout.startsWith('{'), `kt status --json: ${stdout}${stderr}`)
    return JSON.parse(stdout)
  }

  async assertRestored(): Promise<void> {
    assert.deepEqual(stateDifferences(this.before, await this.machine.state()), [])
  }

  /** No Job, pod or Secret of kt is left. */
  async assertClusterClean(): Promise<void> {
    await until('the cluster is clean', async () => (await this.leftInCluster()).length === 0, 5_000).catch(async () =>
      assert.deepEqual(await this.leftInCluster(), []),
    )
  }

  async leftInCluster(): Promise<string[]> {
    const kinds = ['jobs', 'pods', 'secrets']
    const lists = await Promise.all(kinds.map((kind) => this.lab.api.list(kind)))
    return kinds.flatMap((kind, i) =>
      lists[i]
        .filter(({ metadata }) => metadata.name.startsWith('kt-'))
        .map(({ metadata }) => `${kind} ${metadata.name}`),
    )
  }

  /** kt's processes on the laptop, found by what they run. */
  processes(): KtProcesses {
    const found = pidsIn(this.lab.laptop.netns).map((pid) => ({ pid, words: commandLine(pid) }))
    const running = (what: RegExp) =>
      found.find(({ words }) => /node$/.test(words[0]) && words.some((w) => what.test(w)))?.pid
    return { engine: running(/\/engine\.(js|ts)$/), helper: running(/\/helper\.(js|ts)$/) }
  }

  /** The command line `kt up --foreground`, while it is there. */
  foreground(): number | undefined {
    return pidsIn(this.lab.laptop.netns).find((pid) => {
      const words = commandLine(pid)
      return /node$/.test(words[0]) && words.some((word) => /start\.mjs$/.test(word)) && words.includes('--foreground')
    })
  }

  async noProcesses(): Promise<void> {
    await until('kt has ended', () => {
      const { engine, helper } = this.processes()
      return engine === undefined && helper === undefined
    })
  }

  /** Resolves when a page comes by name, or fails with kt's log. */
  async works(deadlineMs = 30_000): Promise<void> {
    const page = () => this.machine.probe('get', { url: 'http://web.shop/', timeoutMs: 3000 })
    await until('http://web.shop/ works', async () => (await page()).status === 200, deadlineMs).catch(
      async (error) => {
        throw new Error(`${error.message}\n${await this.logs()}`)
      },
    )
  }

  async logs(): Promise<string> {
    return (await this.machine.kt(['logs'])).stdout.split('\n').slice(-40).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.close()
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [''] // it has ended
  }
}
