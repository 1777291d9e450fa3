// The lab's laptop: a network namespace and a view of the file system of its own (/etc, /run, /var/lib/kt, a home), with
// an ordinary user `dev` who may sudo. One small process holds the mounts; commands enter beside it.
import { type ChildProcess, type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { showCheckout, shownAt } from '../support/readable.ts'
import { findProgram, LabError } from './namespaces.ts'

export type LaptopUser = 'root' | 'dev'
export const devUid = 1500

export interface CommandOptions {
  /** Default `dev`. */
  user?: LaptopUser
  /** Added to HOME, PATH, USER, LOGNAME, LANG. Nothing of this process' own environment is passed on. */
  env?: Record<string, string>
  input?: string | Buffer
  /** Default 60,000; the command is killed then, and `code` is undefined. */
  timeoutMs?: number
  /** Default: the user's home. */
  cwd?: string
}

export interface Finished {
  /** Undefined when a signal ended it. */
  code: number | undefined
  stdout: string
  stderr: string
  /** True when something the command started still held its output half a second after it had ended. */
  heldOpen: boolean
}

// $1 the laptop's folder.
const holder = (place: string) => `set -e
mount --bind "$1/etc" /etc
${showCheckout(place)}
mount --bind "$1/var-lib-kt" /var/lib/kt
mount -t tmpfs -o mode=755 tmpfs /run
mount -t sysfs sysfs /sys || true
echo ready
exec cat`

export class Laptop {
  /** The checkout as the laptop sees it, readable for `dev` wherever it really is. */
  readonly checkout: string
  /** Node as the laptop sees it. */
  readonly node: string
  readonly kt: string
  readonly folder: string
  readonly home: string
  readonly #netns: string
  readonly #process: ChildProcessWithoutNullStreams

  private constructor(folder: string, netns: string, process_: ChildProcessWithoutNullStreams) {
    this.folder = folder
    this.home = join(folder, 'home')
    this.checkout = join(folder, 'kt')
    this.kt = join(this.checkout, 'bin/kt')
    this.node = shownAt(this.checkout, process.execPath)
    this.#netns = netns
    this.#process = process_
  }

  static async start(folder: string, netns: string, resolvConf: string): Promise<Laptop> {
    for (const name of ['etc', 'kt', 'var-lib-kt', 'home/.kube', 'root'])
      mkdirSync(join(folder, name), { recursive: true })
    mkdirSync('/var/lib/kt', { recursive: true, mode: 0o700 }) // a place to mount on; stays, empty
    chmodSync(join(folder, 'var-lib-kt'), 0o700)
    prepareEtc(join(folder, 'etc'), folder, resolvConf)
    chownSync(join(folder, 'home'), devUid, devUid)
    chownSync(join(folder, 'home/.kube'), devUid, devUid)
    const child = spawn('nsenter', [
      ...[`--net=/run/netns/${netns}`, 'unshare', '--mount', '--propagation', 'private'],
      ...['sh', '-c', holder(join(folder, 'kt')), 'laptop', folder],
    ])
    let said = ''
    child.stderr.on('data', (text) => (said += text))
    child.stdin.on('error', () => undefined)
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve())
      child.once('exit', () => reject(new LabError(`the laptop's file system could not be set up: ${said.trim()}`)))
    })
    return new Laptop(folder, netns, child)
  }

  /** The words that run `command` in the laptop, for `spawn`. */
  commandLine(command: string[], { user = 'dev', env = {}, cwd }: CommandOptions = {}): string[] {
    const home = user === 'dev' ? this.home : join(this.folder, 'root')
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const variables = {
      HOME: home,
      PATH: path,
      USER: user,
      LOGNAME: user,
      SHELL: '/bin/sh',
      LANG: 'C.UTF-8',
      ...env,
    }
    return [
      ...['nsenter', '-t', String(this.#process.pid), '-m', '-n'],
      ...(user === 'dev' ? ['setpriv', '--reuid', `${devUid}`, '--regid', `${devUid}`, '--init-groups'] : []),
      ...['env', '-i', '-C', cwd ?? home, ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)],
      ...command,
    ]
  }

  /** Starts a command, with pipes, in a process group of its own. Ended with the lab if it still runs then. */
  spawn(command: string[], options?: CommandOptions): ChildProcessWithoutNullStreams {
    const [program, ...args] = this.commandLine(command, options)
    return spawn(program, args, { detached: true, cwd: '/' })
  }

  /** Runs a command to its end. */
  async run(command: string[], options: CommandOptions = {}): Promise<Finished> {
    const child = this.spawn(command, options)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
    child.stdin.on('error', () => undefined).end(options.input ?? '')
    const timer = setTimeout(() => killGroup(child), options.timeoutMs ?? 60_000)
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code) => {
        clearTimeout(timer)
        const finish = (heldOpen: boolean) => {
          clearTimeout(late)
          child.stdout.destroy()
          child.stderr.destroy()
          resolve({ code: code ?? undefined, stdout, stderr, heldOpen })
        }
        const late = setTimeout(finish, 500, true)
        child.on('close', () => finish(false))
      })
    })
  }

  /** Reads a file as the laptop has it, for root. */
  readFile(path: string): Buffer {
    return execFileSync('nsenter', ['-t', String(this.#process.pid), '-m', 'cat', path])
  }

  /** A kubeconfig for `dev`'s kubectl and kt: `~/.kube/config`, and root's. */
  writeKubeconfig(content: string): void {
    writeFileSync(join(this.home, '.kube/config'), content, { mode: 0o600 })
    chownSync(join(this.home, '.kube/config'), devUid, devUid)
    mkdirSync(join(this.folder, 'root/.kube'), { recursive: true })
    writeFileSync(join(this.folder, 'root/.kube/config'), content, { mode: 0o600 })
  }

  get netns(): string {
    return this.#netns
  }
}

export function killGroup(child: ChildProcess): void {
  try {
    if (child.pid) process.kill(-child.pid, 'SIGKILL')
  } catch {} // it has ended
}

function prepareEtc(etc: string, folder: string, resolvConf: string): void {
  cpSync('/etc', etc, {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    filter: (source) => source !== '/etc/resolv.conf',
  })
  // cpSync keeps modes, not owners; sudo insists on root's, which all of /etc has that it reads.
  rmSync(join(etc, 'resolv.conf'), { force: true })
  writeFileSync(join(etc, 'resolv.conf'), resolvConf)
  writeFileSync(join(etc, 'hosts'), `127.0.0.1 localhost ${hostname()}\n::1 localhost\n`)
  // Root's home is the lab's, too: nothing is written to the machine's.
  const users = readFileSync(join(etc, 'passwd'), 'utf8')
  writeFileSync(join(etc, 'passwd'), users.replace(/^(root:[^:]*:0:0:[^:]*:)[^:]*/m, `$1${join(folder, 'root')}`))
  const append = (file: string, line: string) => {
    const path = join(etc, file)
    const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
    writeFileSync(path, `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${line}\n`)
  }
  append('passwd', `dev:x:${devUid}:${devUid}::${join(folder, 'home')}:/bin/sh`)
  append('group', `dev:x:${devUid}:`)
  append('group', `kt-lab-extra:x:${devUid + 1}:dev`) // a supplementary group, for the engine to keep
  append('shadow', 'dev:*:20000::::::')
  if (!findProgram('sudo')) return
  mkdirSync(join(etc, 'sudoers.d'), { recursive: true })
  writeFileSync(join(etc, 'sudoers.d/dev'), 'dev ALL=(ALL) NOPASSWD: ALL\n', { mode: 0o440 })
}
