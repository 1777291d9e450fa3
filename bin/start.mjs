// Says in one line that a Node is too old, before it trips over newer syntax; then hands over to the bundle. Anything that an
// older Node does not know, an option on its command line too, would hide that line.
import { existsSync } from 'node:fs'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  const checkout = existsSync(new URL('../native/build.ts', import.meta.url))
  console.error(`error: kt needs Node.js 22.18 or newer, this is ${process.versions.node}`)
  console.error(
    checkout
      ? '       run ./dev setup in the checkout of kt, which brings its own, or update Node.js'
      : '       update Node.js, or use the single file of kt, which has its own',
  )
  process.exit(1)
}
// What is experimental in Node is no matter of the person who types a command.
const shown = process.listeners('warning')
process.removeAllListeners('warning').on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') for (const show of shown) show.call(process, warning)
})
import('../dist/cli.js')
