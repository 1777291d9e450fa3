// A laptop that tests use kt on, whoever holds it: the embedded lab or the real cluster. One face for both, so that a
// test of kt does not care where it runs.
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Laptop } from '../lab/laptop.ts'
import { type NetworkState, networkState } from './network-state.ts'
import type { ProbeName, Probes } from './probe.ts'
import { checkout } from './readable.ts'

export interface RunOptions {
  /** Default `dev`, an ordinary user who may sudo. */
  user?: 'root' | 'dev'
  env?: Record<string, string>
  timeoutMs?: number
}

export interface RunResult {
  code: number | undefined
  stdout: string
  stderr: string
}

export interface Machine {
  run(command: string[], options?: RunOptions): Promise<RunResult>
  /** `bin/kt` as `dev`; with `sudo: true` (default false) through sudo. */
  kt(args: string[], options?: RunOptions & { sudo?: boolean }): Promise<RunResult>
  probe<N extends ProbeName>(name: N, question: Probes[N]['in']): Promise<Probes[N]['out']>
  state(): Promise<NetworkState>
}

/** A laptop of the embedded lab. */
export function labMachine(laptop: Laptop): Machine {
  return machine((command, options) => laptop.run(command, options), laptop.checkout, laptop.node)
}

/** Path of the program that runs the real cluster, or why there is none. */
export function realCluster(): { program: string } | { missing: string } {
  const program = process.env['KT_TEST_CLUSTER'] ?? resolve(checkout, '../shared/cluster/cluster')
  if (!existsSync(program)) return { missing: 'no real cluster here: KT_TEST_CLUSTER names no program' }
  if (process.getuid?.() !== 0) return { missing: 'the real cluster needs root' }
  try {
    execFileSync(program, ['kubectl', '--request-timeout=5s', 'get', '--raw', '/readyz'], { stdio: 'ignore' })
  } catch {
    return { missing: `the real cluster of ${program} does not answer` }
  }
  return { program }
}

/** Makes laptops of the real cluster, one after the other: two that are made at the same time get the same address. */
export function makeLaptops(program: string, ...names: string[]): void {
  for (const name of names) execFileSync(program, ['laptop', '--as', name, 'true'], { timeout: 30_000 })
}

/** Laptop `name` of the real cluster; it is made when first used and stays. */
export function realMachine(program: string, name: string): Machine {
  const run = async (command: string[], { user = 'dev', env = {}, timeoutMs = 60_000 }: RunOptions = {}) => {
    const variables = Object.entries(env).map(([key, value]) => `${key}=${value}`)
    const words =
      user === 'root'
        ? ['env', ...variables, ...command]
        : ['su', '-', 'dev', '-c', ['env', ...variables, ...command].map(quote).join(' ')]
    return new Promise<RunResult>((settle) => {
      execFile(
        program,
        ['laptop', '--as', name, ...words],
        { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 << 20 },
        (error, stdout, stderr) => {
          const code = error ? ((error as { code?: unknown }).code as number | undefined) : 0
          settle({ code: typeof code === 'number' ? code : undefined, stdout, stderr })
        },
      )
    })
  }
  return machine(run, checkout, process.execPath)
}

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

function machine(run: Machine['run'], root: string, node: string): Machine {
  return {
    run,
    kt: (args, { sudo = false, ...options } = {}) =>
      run([...(sudo ? ['sudo'] : []), join(root, 'bin/kt'), ...args], { timeoutMs: 120_000, ...options }),
    async probe(name, question) {
      const script = join(root, 'test/support/probe.ts')
      const words = [node, '--disable-warning=ExperimentalWarning', script, JSON.stringify({ op: name, ...question })]
      const { code, stdout, stderr } = await run(words, { timeoutMs: 180_000 })
      if (code !== 0) throw new Error(`the probe ${name} failed (${code}): ${stderr || stdout}`)
      return JSON.parse(stdout)
    },
    state: () =>
      networkState(async (command) => {
        const { code, stdout, stderr } = await run(command, { user: 'root' })
        if (code !== 0 && stdout === '') throw new Error(`${command.join(' ')}: ${stderr}`)
        return stdout
      }),
  }
}
