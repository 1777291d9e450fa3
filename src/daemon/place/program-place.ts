// What a program gets that runs on this machine in place of a container: the container's environment and its files, which end with it.
import { rmSync } from 'node:fs'
import { systemClock } from '../../base/clock.ts'
import { ToldError } from '../../base/told-error.ts'
import type { Missing, Place } from '../../cluster/place-calls.ts'
import type { ExposedPort, InboundConfig, PlaceWish, ShellConfig } from '../../control/holder.ts'
import type { ProgramPlace } from '../../control/place.ts'
import { runInPod } from '../../tunnel/index.ts'
import type { HolderDeps } from '../inbound/holding.ts'
import { makePrivateFolder, type PrivateFolder } from './folder.ts'
import { PlaceFiles } from './place-files.ts'

/** Files that are copied from the pod at each start. */
const MOST_COPIED = 20_000_000
// ip(7), ip_unprivileged_port_start
const FIRST_FREE_PORT = 1024

export class PlaceOfProgram {
  readonly #wish: PlaceWish
  readonly #deps: HolderDeps
  readonly #closing = new AbortController()
  #folder: PrivateFolder | undefined
  /** Where the container has its files, once it is open. */
  mounts: { path: string; kind: 'files' | 'part' | 'empty' | 'copy' }[] = []

  constructor(wish: PlaceWish, deps: HolderDeps) {
    this.#wish = wish
    this.#deps = deps
  }

  /** Reads and writes all of it, and names the ports of an exchange where it names none. Rejects with ToldError or ClusterError. */
  async open(config: InboundConfig | ShellConfig): Promise<ProgramPlace> {
    const { target, container, environment, files } = this.#wish
    const { cluster, log, notice } = this.#deps
    const request = { target, container, serviceLinks: false }
    let place: Place
    let missing: Missing[] = []
    if (files) {
      this.#folder = makePrivateFolder(process.env)
      const { path, inMemory } = this.#folder
      if (!inMemory)
        notice(`the files are in ${path}, which is on a disk: this machine has no folder in memory for you`)
      const effects = { cluster, run: runInPod, clock: systemClock, wall: Date.now, log, closing: this.#closing.signal }
      const kept = new PlaceFiles(effects, request, path)
      ;({ place, missing } = await kept.write(MOST_COPIED))
      if (!this.#closing.signal.aborted) void kept.keep()
    } else place = await cluster.readPlace({ ...request, files: false, tokens: false })
    this.mounts = place.mounts.map(({ path, content: { kind } }) => ({ path, kind }))
    if (config.kind !== 'shell' && config.ports.length === 0) config.ports = portsOf(place, config)
    const { pod, namespace, containers } = place
    log(`place: ${pod ?? 'a template'}, container ${place.container}, ${place.variables.length} variables`)
    return {
      pod,
      namespace,
      container: place.container,
      containers,
      variables: environment ? place.variables : [],
      missing: [...(environment ? place.missing : []), ...missing],
      root: this.#folder?.path ?? null,
    }
  }

  /** What changes in the cluster is not followed any longer. */
  stop(): void {
    this.#closing.abort()
  }

  /** Nothing of it is left. */
  close(): void {
    this.stop()
    if (this.#folder) rmSync(this.#folder.path, { recursive: true, force: true })
  }
}

/** The program listens where it does in its container. Throws ToldError. */
function portsOf({ ports, container }: Place, { kind, target, shell }: InboundConfig): ExposedPort[] {
  const example = kind === 'run' ? '--port PORT' : '--expose LOCAL:PORT'
  if (ports.length === 0)
    throw new ToldError(
      'ports',
      `which ports of ${target} the container ${container} serves is not known`,
      `add ${example}`,
    )
  const low = ports.find((one) => one.target < FIRST_FREE_PORT)
  // Inside of a shell no port needs a right.
  if (low && !shell && process.getuid!() !== 0)
    throw new ToldError(
      'ports',
      `the container ${container} listens on port ${low.target}, which needs root on this machine`,
      `let your program listen on another and add --expose LOCAL:${low.port}, or add --shell, where every port is free`,
    )
  return ports.map(({ port, target: local, protocol }) => ({ local, remote: port, protocol }))
}
