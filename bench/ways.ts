// `./dev bench ways [--only NAME,...] [--write]`: how long each way to install kt takes, from a minimal Debian without Node, kt
// or a checkout to a page of a Service. Downloads are not counted: the files of `./dev pack` lie in the root file system. What a
// user types and sees is recorded, and written to docs/use/ways.txt with --write.
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { pack } from '../test/support/packed.ts'
import { inSystemd, noSystemd } from '../test/support/systemd-root.ts'
import { cleanUp, inLaptop, program, temporary } from './laptops.ts'
import { WAYS, type Way } from './ways-steps.ts'

const { values } = parseArgs({
  options: { only: { type: 'string' }, write: { type: 'boolean', default: false } },
})
const LAPTOP = 'ways'

/** $1 the root, $2 a script. It has processes, mounts and /run of its own, and the laptop's network. */
const ENTER = `set -e
mount --bind "$1" "$1"; cd "$1"
mount --rbind /dev dev; mount -t proc proc proc; mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p old; pivot_root . old; cd /; umount -l /old
exec env -i HOME=/root USER=root LOGNAME=root NO_COLOR=1 PATH=/root/.krew/bin:/opt/node/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c "$2"`

/** Prints each command behind `$`, then what it says, and at the end how long all took until the page was there. */
function session({ steps, after }: Way): string {
  const say = (step: string) => `printf '\\n$ %s\\n' ${quote(step)}; { ${step}; } 2>&1`
  return [
    'cd /root; begun=$(date +%s%3N)',
    ...steps.map(say),
    'printf "\\n== %s ms\\n" $(($(date +%s%3N) - begun))',
    ...after.map(say),
  ].join('\n')
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

function makeRoot(way: Way, base: string, folder: string): string {
  const root = join(folder, way.name.replaceAll(/\W+/g, '-'))
  execFileSync('cp', ['-a', base, root])
  const home = join(root, 'root')
  mkdirSync(join(home, '.kube'), { mode: 0o700, recursive: true })
  const kubeconfig = execFileSync(program, ['kubeconfig'], { encoding: 'utf8' }).trim()
  cpSync(kubeconfig, join(home, '.kube/config'))
  for (const file of readdirSync('out').filter((name) => way.files.test(name)))
    cpSync(join('out', file), join(home, file))
  if (way.node) nodeArchive(join(home, 'node.tar.gz'), folder)
  if (way.user) {
    execFileSync('chroot', [root, 'useradd', '--create-home', '--shell', '/bin/sh', 'dev'])
    appendFileSync(join(root, 'home/dev/.profile'), 'export NO_COLOR=1\n')
    cpSync(join(home, '.kube'), join(root, 'home/dev/.kube'), { recursive: true })
    execFileSync('chroot', [root, 'chown', '--recursive', 'dev:', '/home/dev'])
  }
  for (const [name, path] of Object.entries(way.programs ?? {})) {
    cpSync(path, join(root, 'usr/local/bin', name), { dereference: true })
    chmodSync(join(root, 'usr/local/bin', name), 0o755)
  }
  return root
}

/** As Node's own archive is laid out. */
function nodeArchive(target: string, folder: string): void {
  const node = join(folder, 'node')
  if (!existsSync(node)) {
    const npm = join(dirname(dirname(dirname(process.execPath))), 'npm')
    mkdirSync(join(node, 'bin'), { recursive: true })
    cpSync(process.execPath, join(node, 'bin/node'))
    cpSync(npm, join(node, 'lib/node_modules/npm'), { recursive: true })
    for (const name of ['npm', 'npx'])
      execFileSync('ln', ['-s', `../lib/node_modules/npm/bin/${name}-cli.js`, join(node, 'bin', name)])
  }
  execFileSync('tar', ['-czf', target, '-C', node, '.'])
}

function enter(way: Way, root: string): string {
  const script = session(way)
  if (way.systemd) return inSystemd([program, 'laptop', '--as', LAPTOP], root, script, 300_000)
  const own = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
  const { stdout, stderr } = spawnSync(
    program,
    ['laptop', '--as', LAPTOP, ...own, 'sh', '-c', ENTER, 'sh', root, script],
    {
      encoding: 'utf8',
      timeout: 300_000,
      killSignal: 'SIGKILL',
    },
  )
  return `${stdout}${stderr}`
}

const HEAD = `Each way to install kt, recorded in a minimal Debian 12 without Node and without a compiler, on a laptop of a two-node
Kubernetes. The files of ./dev pack lie in /root, and the shadow's image is on the node. The times are from the
first line of a session to the page of the Service.
`

function main(): void {
  if (process.getuid!() !== 0 || !existsSync(program) || spawnSync('mmdebstrap', ['--version']).status !== 0) {
    console.log('bench: skipped: it needs root, mmdebstrap and a cluster program (KT_TEST_CLUSTER)')
    return
  }
  inLaptop(LAPTOP, 'true')
  pack('--if-changed')
  const folder = temporary()
  const base = join(folder, 'base')
  const include = '--include=curl,iproute2,systemd-sysv,rpm,git,ca-certificates'
  execFileSync('mmdebstrap', ['--quiet', '--variant=minbase', include, 'bookworm', base], { stdio: 'ignore' })
  writeFileSync(join(base, 'etc/resolv.conf'), 'nameserver 198.51.100.53\n')
  const wanted = values.only?.split(',')
  const recordings: string[] = []
  const rows: string[] = []
  for (const way of WAYS.filter(({ name }) => !wanted || wanted.includes(name))) {
    const lacks = way.lacks?.() || (way.systemd && noSystemd())
    if (lacks) {
      console.log(`bench: ${way.name}: skipped: ${lacks}`)
      continue
    }
    const root = makeRoot(way, base, folder)
    // What was overwritten on the terminal is left out.
    const said = enter(way, root)
      .replace(/^.*\r(?!\n)/gm, '')
      .replace(/^Powering off\.\n/m, '')
    rmSync(root, { recursive: true, force: true })
    const ms = /^== (\d+) ms$/m.exec(said)?.[1]
    if (!/"from":"web-/.test(said) || !ms) {
      process.exitCode = 1
      console.error(`bench: ${way.name} did not come to the page:\n${said}`)
      continue
    }
    const seconds = (Number(ms) / 1000).toFixed(1)
    rows.push(`| ${way.name} | ${seconds} s |`)
    recordings.push(`== ${way.name}: ${seconds} s to the page ==\n${said.replace(/^== \d+ ms\n/m, '')}`)
  }
  console.log(['| way | to the page |', '| --- | ---: |', ...rows].join('\n'))
  if (values.write) writeFileSync('docs/use/ways.txt', `${[HEAD, ...recordings].join('\n').trimEnd()}\n`)
  else console.log(recordings.join('\n'))
}

try {
  main()
} catch (error) {
  process.exitCode = 1
  const { stderr, message } = error as { stderr?: string; message: string }
  console.error(`bench: ${stderr || message}`)
} finally {
  cleanUp()
}
process.exit()
