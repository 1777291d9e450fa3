// Laptops of the real cluster for benchmarks: programs on them, and `ssh` over a port-forward to an OpenSSH pod, which is what
// kt is held against.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** The program that runs the cluster. */
export const program = process.env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
export const kt = resolve('bin/kt')
export const namespace = 'shop'
/** Called in reverse at the end. */
export const undo: (() => void)[] = []
const children: ChildProcess[] = []
let folder: string | undefined

/** A folder that is removed at the end. */
export const temporary = () => (folder ??= mkdtempSync(join(tmpdir(), 'kt-bench-')))
const onLaptop = (name: string, ...command: string[]) => [program, ['laptop', '--as', name, ...command]] as const

export const inLaptop = (name: string, ...command: string[]): string =>
  execFileSync(...onLaptop(name, ...command), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 })

const kubectl = (args: string[], input?: string) =>
  execFileSync(program, ['kubectl', ...args], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'inherit'] })

export const median = (list: number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

export function cleanUp(): void {
  for (const step of undo.reverse()) {
    try {
      step()
    } catch (error) {
      console.error(`bench: clean-up: ${(error as Error).message}`)
    }
  }
  for (const child of children) child.kill()
  if (folder) rmSync(folder, { recursive: true, force: true })
}

/** Starts a program on a laptop and waits until its output shows `ready`. Returns its pid (nsenter becomes the program). */
export async function start(laptop: string, ready: RegExp | (() => boolean), ...command: string[]): Promise<number> {
  const [runner, args] = onLaptop(laptop, ...command)
  const child = spawn(runner, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let output = ''
  child.stdout!.on('data', (d) => (output += d))
  child.stderr!.on('data', (d) => (output += d))
  for (let i = 0; i < 200; i++) {
    if (typeof ready === 'function' ? ready() : ready.test(output)) return child.pid!
    if (child.exitCode !== null) break
    await new Promise((r) => setTimeout(r, 100))
  }
  throw new Error(`${command.join(' ')} did not start: ${output}`)
}

/** Runs a program on a laptop until the result is called, which resolves when it has ended. */
export function background(laptop: string, ...command: string[]): () => Promise<void> {
  const [runner, args] = onLaptop(laptop, ...command)
  const child = spawn(runner, args, { stdio: 'ignore' })
  children.push(child)
  const over = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
  return async () => {
    child.kill()
    await over
  }
}

/**
 * An OpenSSH pod like the classic shadow, a port-forward to it, and ssh over that with `forwards` (`-L …`, `-D …`), on a laptop.
 * Resolves to their pids when it `answers`.
 */
export async function sshOver(laptop: string, forwards: string[], answers: () => boolean): Promise<number[]> {
  // Of this run: that of the one before may still be ending.
  const pod = `kt-bs-${process.pid}`
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(temporary(), 'key')])
  kubectl(
    ['-n', namespace, 'apply', '-f', '-'],
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: pod },
          stringData: { authorized: readFileSync(join(temporary(), 'key.pub'), 'utf8') },
        },
        {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: pod },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [
              {
                name: 'sshd',
                image: 'localhost/sshd-shadow:1',
                volumeMounts: [{ name: 'keys', mountPath: '/root/authorized' }],
              },
            ],
            volumes: [{ name: 'keys', secret: { secretName: pod } }],
          },
        },
      ],
    }),
  )
  undo.push(() =>
    kubectl(['-n', namespace, 'delete', `pod/${pod}`, `secret/${pod}`, '--wait=false', '--ignore-not-found']),
  )
  kubectl(['-n', namespace, 'wait', `pod/${pod}`, '--for=condition=Ready', '--timeout=60s'])
  const forwarding = ['kubectl', '-n', namespace, 'port-forward', `pod/${pod}`, '2222:22']
  const options = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'Ciphers=aes128-gcm@openssh.com',
    'ExitOnForwardFailure=yes',
    'LogLevel=ERROR',
  ]
  const login = [
    'ssh',
    '-N',
    '-p',
    '2222',
    '-i',
    join(temporary(), 'key'),
    ...options.flatMap((o) => ['-o', o]),
    ...forwards,
    'root@127.0.0.1',
  ]
  // The container is "ready" before its sshd listens, and a port-forward that is refused ends.
  for (let tries = 0; ; tries++) {
    const forward = await start(laptop, /Forwarding from/, ...forwarding)
    try {
      return [forward, await start(laptop, answers, ...login)]
    } catch (error) {
      if (tries === 5) throw error
      if (children.some(({ pid, exitCode }) => pid === forward && exitCode === null)) process.kill(forward)
    }
  }
}
