// The main script of the single file (Node's SEA runs CommonJS there). The bundles are assets: they are imported as they are,
// under the names that they would have in a folder dist/ beside the executable, which is not there.
'use strict'
const { getAsset } = require('node:sea')

// Half of the time that the whole command line takes to start; scripts ask for it often.
if (process.argv.length === 3 && ['--version', '-V'].includes(process.argv[2])) {
  process.stdout.on('error', () => {}) // whoever asked has gone
  process.stdout.write(`${JSON.parse(getAsset('build.json', 'utf8')).version}\n`)
} else start()

function start() {
  const { createRequire, registerHooks } = require('node:module')
  const { dirname, join } = require('node:path')
  const { pathToFileURL } = require('node:url')

  const program = process.argv[2] === '--kt-program' ? process.argv.splice(2, 2)[1] : 'cli'
  // As a script of its own has it: the path of what runs, then its arguments.
  process.argv[1] = program === 'cli' ? process.execPath : program

  const base = `${pathToFileURL(join(dirname(process.execPath), '.kt-single-file'))}/`
  const known = new Set(JSON.parse(getAsset('bundles.json', 'utf8')))
  const start = `${base}start.cjs`
  registerHooks({
    resolve(specifier, context, next) {
      const url = URL.canParse(specifier, context.parentURL) ? new URL(specifier, context.parentURL).href : ''
      if (url === start) return { url, format: 'commonjs', shortCircuit: true }
      if (url.startsWith(base) && known.has(url.slice(base.length)))
        return { url, format: 'module', shortCircuit: true }
      return next(specifier, context)
    },
    load(url, context, next) {
      if (url === start)
        return { format: 'commonjs', source: 'module.exports = (url) => import(url)', shortCircuit: true }
      if (url.startsWith(base))
        return { format: 'module', source: getAsset(url.slice(base.length), 'utf8'), shortCircuit: true }
      return next(url, context)
    },
  })
  // A script of the assets may import, which this one may not.
  createRequire(`${base}main.cjs`)('./start.cjs')(`${base}dist/${program}.js`).catch((error) => {
    console.error(error)
    process.exit(1)
  })
}
