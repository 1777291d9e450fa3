// The programs that lie beside the command line: in dist/ as in the sources.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CliError } from './output.ts'

/** Path of `dist/NAME.js`, or of `src/daemon/NAME.ts` when run from source. Throws CliError. */
export function programFile(name: string): string {
  const folder = dirname(fileURLToPath(import.meta.url))
  const file = [join(folder, `${name}.js`), join(folder, '../daemon', `${name}.ts`)].find((path) => existsSync(path))
  if (!file) throw new CliError(`the ${name} program is missing`, 'run ./dev setup again')
  return file
}
