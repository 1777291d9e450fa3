// Compiles the parts (parts.ts) for this machine, when their sources are newer than what is there. No node-gyp: one file
// each, against the headers that come with Node, no Python and no make needed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compilePart } from '../scripts/pack/native.ts'
import { type Architecture, PackError } from '../scripts/pack/tools.ts'
import { compilerFlags, type Part, parts } from './parts.ts'

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

/** The system's compiler. Undefined where there is none, but Python's pip, which can bring zig. */
function compiler(): string | undefined {
  const named = process.env['CC']
  if (named || works(['cc', '--version'])) return named || 'cc'
  if (works(['python3', '-m', 'pip', '--version'])) return undefined
  return fail(
    "no C compiler (cc): kt's compiled parts cannot be built",
    'install one, for example: apt-get install gcc libc6-dev, or: dnf install gcc; then run ./dev setup again',
  )
}

const works = ([command, ...args]: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

function compile(part: Part): void {
  const from = join(here, part.source)
  const to = join(out, part.target)
  if (existsSync(to) && statSync(to).mtimeMs > statSync(from).mtimeMs) return
  mkdirSync(out, { recursive: true })
  // A file of its own first: a process that runs the old one keeps it, and a build that breaks off leaves no half file.
  const temporary = `${to}.${process.pid}`
  const cc = compiler()
  if (cc === undefined) compilePart(part, process.arch as Architecture, headers(), temporary)
  else {
    const args = [...compilerFlags(part, headers(), ['-fPIE', '-pie']), '-o', temporary, from]
    if (spawnSync(cc, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status !== 0)
      fail(`${cc} could not compile native/${part.source} (see above)`)
  }
  renameSync(temporary, to)
}

if (process.platform !== 'linux') fail(`kt needs Linux, this is ${process.platform}`)
try {
  for (const part of parts) compile(part)
} catch (error) {
  if (!(error instanceof PackError)) throw error
  fail(error.message)
}
