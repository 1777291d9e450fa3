// The root process: small, takes declarative requests only, undoes everything when the engine ends. See docs/understand/host.md.
//   helper up --uid UID --gid GID --user NAME [--log FILE] [--foreground]    helper undo [--end UID]
import { programArguments } from '../base/installation.ts'
import { runHelper } from './helper/main.ts'

process.exit(await runHelper(process.argv.slice(2), programArguments('engine')))
