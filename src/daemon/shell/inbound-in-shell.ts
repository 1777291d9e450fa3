// `kt exchange --shell` and the same of mesh and run: the requests go to a program in a shell's namespace. The namespace is made
// before anything is changed in the cluster, and the program is started when its network works and the requests come.

import { ToldError } from '../../base/told-error.ts'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { InboundConfig, ShellConfig } from '../../control/holder.ts'
import type { Held, Progress } from '../../control/protocol.ts'
import type { HolderDeps, Holding } from '../inbound/holding.ts'
import type { Launcher } from './launcher.ts'
import type { Shell } from './shell.ts'

export interface InboundInShellParts {
  exchange: Holding
  shell: Pick<Shell, 'make' | 'connect' | 'go' | 'close'>
  launcher: Pick<Launcher, 'gone'>
}

export class InboundInShell implements Holding {
  readonly #parts: InboundInShellParts
  #programGone = false

  constructor(parts: InboundInShellParts) {
    this.#parts = parts
    void parts.launcher.gone.then(() => {
      this.#programGone = true
    })
  }

  async start(): Promise<string> {
    const { exchange, shell, launcher } = this.#parts
    await shell.make().catch((error: unknown) => {
      throw withoutShell(error)
    })
    const early = launcher.gone.then(() => {
      throw new ToldError('launcher', 'what was to run your program has ended', 'the same command starts again')
    })
    early.catch(() => {})
    const [message] = await Promise.race([Promise.all([exchange.start(), shell.connect()]), early])
    shell.go()
    return message
  }

  async close(): Promise<string[]> {
    const { exchange, shell } = this.#parts
    const leaving = exchange.close()
    // Requests that are under way are answered by the program, which ends with its shell.
    if (!this.#programGone) await leaving.catch(() => {})
    const [notes, more] = await Promise.all([leaving, shell.close()])
    return [...notes, ...more]
  }

  hurry(): void {
    this.#parts.exchange.hurry()
  }

  status(): Held | undefined {
    return this.#parts.exchange.status()
  }
}

/** The shell's part of the configuration. */
export function shellConfigOf(config: InboundConfig): ShellConfig {
  const { name, command } = config.shell!
  return { ...config, kind: 'shell', name, command, ports: [], include: [], exclude: [], place: undefined }
}

/** What the two parts share: the client is closed by the last of them, and the steps of one do not look like the other's. */
export function sharedDeps(deps: HolderDeps): { exchange: HolderDeps; shell: HolderDeps } {
  let open = 2
  const close: ClusterClient['close'] = async (ms) => {
    open--
    if (open === 0) await deps.cluster.close(ms)
  }
  const shared = { ...deps, cluster: { ...deps.cluster, close } }
  const progress = ({ step, state, detail, ms }: Progress) => {
    const isNews = state === 'note' || (state === 'done' && step === 'names')
    if (isNews) deps.progress({ step: 'shell', state, detail: `${step}: ${detail}`, ms })
  }
  return { exchange: shared, shell: { ...shared, progress } }
}

function withoutShell(error: unknown): unknown {
  if (!(error instanceof ToldError) || error.code !== 'no-namespace') return error
  const { code, message, hint } = error
  return new ToldError(
    code,
    `--shell: ${message}`,
    `leave --shell out: your program then has this machine's network; or ${hint}`,
  )
}
