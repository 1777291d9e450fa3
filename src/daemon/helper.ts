// The root process: small, takes declarative requests only, undoes everything when the engine ends. See docs/understand/host.md.
//   helper up --uid UID --gid GID --user NAME [--log FILE] [--foreground]    helper undo [--end UID]
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runHelper } from './helper/main.ts'

// The engine lies beside this file, in src/ as in the bundle.
const self = fileURLToPath(import.meta.url)
process.exit(await runHelper(process.argv.slice(2), join(dirname(self), `engine${extname(self)}`)))
