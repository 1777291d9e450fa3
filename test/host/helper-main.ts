// The helper with the fake engine in the real one's place.
import { fileURLToPath } from 'node:url'
import { runHelper } from '../../src/daemon/helper/main.ts'

const engine = fileURLToPath(new URL('./fake-engine.ts', import.meta.url))
process.exit(await runHelper(process.argv.slice(2), [engine]))
