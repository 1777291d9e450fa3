// Names that only the cluster or the user's files know, within a short time and without a word when they cannot be had.
import { execFile } from 'node:child_process'
import { whoCalls } from '../caller.ts'
import { applyConfiguration } from '../config/apply.ts'
import { configFile, readConfiguration } from '../config/file.ts'
import { isConfigurable } from '../config/keys.ts'
import { connectedHere } from '../connected.ts'
import { programCommand } from '../programs.ts'
import type { Completion } from './complete.ts'

// A person waits with a finger on the key.
const LIMIT_MS = 2_500

/** Values for what `completion` asks for, for the word that has been begun. Never rejects. */
export async function liveNames({ live, command, given }: Completion, current: string): Promise<string[]> {
  try {
    const configuration = readConfiguration(configFile(whoCalls().home, process.env))
    if (live === 'profiles') return Object.keys(configuration.profiles)
    for (const [name, value] of Object.entries(given))
      if (['namespace', 'context', 'kubeconfig', 'profile'].includes(name))
        command.setOptionValueWithSource(name, value, 'cli')
    if (isConfigurable(command)) applyConfiguration(command, configuration, process.env, '')
    const { kubeconfig, context, namespace } = command.opts() as Record<string, string | undefined>
    const chosen = { kubeconfig, context, namespace }
    const selection = { ...chosen, connected: await connectedHere(whoCalls()) }
    if (live !== 'targets') return await list(live!, selection)
    const [, prefix, kind] = /^((service|deployment|statefulset|pod)\/)?/.exec(current)!
    if (prefix) return (await list(`${kind}s`, selection)).map((name) => `${prefix}${name}`)
    return [...(await list('services', selection)), 'service/', 'deployment/', 'statefulset/', 'pod/']
  } catch {
    return []
  }
}

function list(kind: string, selection: object): Promise<string[]> {
  return new Promise((resolve) => {
    const words = [...programCommand('list'), kind, JSON.stringify(selection)]
    execFile(process.execPath, words, { timeout: LIMIT_MS, killSignal: 'SIGKILL' }, (error, stdout) =>
      resolve(error ? [] : stdout.split('\n').filter((name) => name !== '')),
    )
  })
}
