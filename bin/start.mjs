// Says in one line that a Node is too old, before it trips over newer syntax; then hands over to the bundle.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`error: kt needs Node.js 22.18 or newer, this is ${process.versions.node}`)
  console.error('       run ./dev setup in the checkout of kt, which brings its own, or update Node.js')
  process.exit(1)
}
await import('../dist/cli.js')
