// What the files of out/ depend on, as one digest, so that a second run can leave them as they are.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from './product.ts'

/** In out/, beside what was made: the digest of the inputs, and the forms. */
const RECORD = join('out', '.made.json')

/** Variables that are in what is made. */
const SETTINGS = ['SOURCE_DATE_EPOCH', 'KT_BUILDER_ID', 'KT_RELEASE_URL']

interface Made {
  inputs: string
  forms: readonly string[]
}

/** Of the commit, of every file of the checkout, and of the installed packages. The current folder is the checkout. */
export function inputsOf(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  const hash = createHash('sha256')
  hash.update(JSON.stringify([git('rev-parse', 'HEAD'), ...SETTINGS.map((name) => process.env[name] ?? null)]))
  const paths = git('ls-files', '-z', '--cached', '--others', '--exclude-standard').split('\0')
  for (const path of [...paths.filter(Boolean).sort(), 'node_modules/.package-lock.json'])
    hash.update(JSON.stringify([path, stateOf(path)]))
  return hash.digest('hex')
}

function stateOf(path: string): unknown {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return null
  return [found.mode, found.isSymbolicLink() ? readlinkSync(path) : sha256(readFileSync(path))]
}

/** True when out/ has these forms, made of these inputs, and each file is still the one that was made. */
export function isMade(inputs: string, forms: readonly string[]): boolean {
  if (!existsSync(RECORD)) return false
  const made = JSON.parse(readFileSync(RECORD, 'utf8')) as Made
  if (made.inputs !== inputs || !forms.every((form) => made.forms.includes(form))) return false
  const sums = readFileSync(join('out', 'SHA256SUMS'), 'utf8').trim().split('\n')
  return sums.every((line) => {
    const [sum, file] = line.split('  ')
    const path = join('out', file)
    return existsSync(path) && sha256(readFileSync(path)) === sum
  })
}

/** To be called when all files are there. */
export function recordMade(inputs: string, forms: readonly string[]): void {
  writeFileSync(RECORD, JSON.stringify({ inputs, forms } satisfies Made))
}
