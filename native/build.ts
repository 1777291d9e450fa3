// Compiles the addon and the launcher with the system's C compiler, when their sources are newer than what is there.
// No node-gyp: one file against the headers that come with Node, no Python and no make needed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
// Node-API is stable across Node versions: one binary an architecture (NAPI_VERSION in tun.c).
const out = join(here, 'build', `napi8-${process.arch}`)

function fail(...lines: string[]): never {
  for (const line of lines) console.error(`build: ${line}`)
  process.exit(1)
}

function headers(): string {
  const dirs = [process.env['npm_config_nodedir'], join(dirname(process.execPath), '..')].flatMap((dir) =>
    dir ? [join(dir, 'include', 'node'), join(dir, 'src')] : [],
  )
  const found = dirs.find((dir) => existsSync(join(dir, 'node_api.h')))
  return (
    found ??
    fail(
      `Node's headers (node_api.h) are not beside ${process.execPath}`,
      'run this through ./dev setup, whose Node brings them, or set npm_config_nodedir to a folder with include/node',
    )
  )
}

function compile(source: string, target: string, flags: string[]): void {
  const from = join(here, source)
  const to = join(out, target)
  if (existsSync(to) && statSync(to).mtimeMs > statSync(from).mtimeMs) return
  mkdirSync(out, { recursive: true })
  const cc = process.env['CC'] || 'cc'
  // A file of its own first: a process that runs the old one keeps it, and a build that breaks off leaves no half file.
  const temporary = `${to}.${process.pid}`
  const args = ['-std=gnu11', '-O2', '-Wall', '-Wextra', ...flags, '-o', temporary, from]
  const result = spawnSync(cc, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.error)
    fail(
      `no C compiler (${cc}): kt's TUN addon cannot be built`,
      'install one, for example: apt-get install gcc libc6-dev, or: dnf install gcc; then run ./dev setup again',
    )
  if (result.status !== 0) fail(`${cc} could not compile native/${source} (see above)`)
  renameSync(temporary, to)
}

if (process.platform !== 'linux') fail(`kt needs Linux, this is ${process.platform}`)
compile('tun.c', 'kt_tun.node', ['-shared', '-fPIC', '-fvisibility=hidden', `-I${headers()}`])
// What it needs is looked for when it is loaded (-z now), in any libc (-nostdlib names none).
const portable = ['-nostdlib', '-Wl,-z,now', '-Wl,-s', '-fno-stack-protector', '-U_FORTIFY_SOURCE']
compile('gcm.c', 'kt_gcm.node', ['-shared', '-fPIC', '-fvisibility=hidden', ...portable, `-I${headers()}`])
compile('launch.c', 'kt-launch', ['-fPIE', '-pie'])
