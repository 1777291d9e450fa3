// The holder: the process behind `kt exchange`, `mesh`, `run`, `forward`, `proxy` and `shell`, and for moments behind
// `recover` and `clean`. It runs as the user. This is its beginning only. The child that speaks to the API server takes as long
// to start as everything else here takes to load, so both happen at once.

import { createClusterClient } from '../cluster/client.ts'
import { UNFIT_CONFIG } from '../control/config.ts'
import { HolderCommand, HolderConfig, type HolderLine } from '../control/holder.ts'
import { LineSplitter } from '../control/lines.ts'
import { slowCiphers } from './ciphers.ts'
import type { HolderInput } from './inbound/holding.ts'
import { pluginSetting } from './login.ts'

process.stdout.on('error', () => {}) // the command may be gone
const tell = (line: HolderLine) => void process.stdout.write(`${JSON.stringify(line)}\n`)

const input = readInput()
const config = await input.config
Object.assign(process.env, config.env)
const { kubeconfig, context, namespace, connected } = config
let waits = true
process.stdin.on('close', () => {
  waits = false
})
const plugin = pluginSetting(
  config,
  () => waits,
  (p) => tell({ type: 'progress', ...p }),
)
const cluster = createClusterClient({ kubeconfig, context, namespace, connected }, { plugin })
slowCiphers() // `kt check` tells of it
const identity = cluster.identify()
identity.catch(() => {}) // whoever awaits it tells of it
const { hold, isTask, runTaskAndTell } = await import('./inbound/hold.ts')
if (isTask(config)) {
  await runTaskAndTell(config, cluster)
  process.stdin.destroy()
} else {
  await hold(config, cluster, identity, input)
}

/** The configuration, and whoever is to be called when the command says `end` (each time), or is gone (once). */
function readInput(): HolderInput & { config: Promise<HolderConfig> } {
  const splitter = new LineSplitter()
  const { promise, resolve } = Promise.withResolvers<HolderConfig>()
  let configured = false
  let early: boolean | undefined
  let callback: (gone: boolean) => void = (gone) => {
    early = gone
  }
  const unfit = () => {
    tell({ type: 'failed', ...UNFIT_CONFIG })
    process.exitCode = 1
    process.stdin.off('close', gone).destroy()
  }
  const gone = () => {
    if (!configured) process.exit(0) // nothing has been done yet
    callback(true)
  }
  process.stdin.on('data', (chunk: Buffer) => {
    try {
      for (const line of splitter.push(chunk)) {
        const said: unknown = JSON.parse(line)
        if (configured && HolderCommand.safeParse(said).success) callback(false)
        if (configured) continue
        const { data } = HolderConfig.safeParse(said)
        if (!data) return unfit()
        resolve(data)
        configured = true
      }
    } catch {
      process.stdin.destroy() // no command speaks so
    }
  })
  process.stdin.on('error', () => {}) // `close` follows
  process.stdin.on('close', gone)
  return {
    config: promise,
    onEnd: (one) => {
      callback = one
      if (early !== undefined) one(early)
    },
  }
}
