// The five kinds of what is held, as its holder sees them: what begins each of them, who serves what does not come here, and what
// people are told.

import type { ClusterClient, Progress, ShadowHooks, ShadowOptions } from '../../cluster/calls.ts'
import type { InboundHandle } from '../../cluster/inbound-calls.ts'
import { type Kind, kindOf } from '../../cluster/inbound-kind.ts'
import type { ExposedPort, InboundConfig } from '../../control/holder.ts'
import { autoWords, manualWords } from './mesh.ts'
import { leadsWords, portsWords } from './words.ts'

type Meshed = InboundHandle & { mesh: NonNullable<InboundHandle['mesh']> }

/** What every kind's `begin` is given. */
export interface Beginning {
  cluster: Pick<ClusterClient, 'beginExchange' | 'beginMesh' | 'beginRun'>
  config: InboundConfig
  /** `user@machine/ID`. */
  holder: string
  options: ShadowOptions
  progress: Progress
  hooks: ShadowHooks
}

export interface HolderKind {
  begin(beginning: Beginning): Promise<InboundHandle>
  /** As `kt status` calls it. */
  mode: string
  /** Somebody serves what does not come here. */
  hasOriginal: boolean
  /** The Service leads to its own pods while there is no shadow. */
  stepsAside: boolean
  /** A second shadow stands beside the first. */
  hasSecond: boolean
  /** The shadows serve other people too, so what comes here is ended by giving up the claims. */
  sharesShadows: boolean
  /** The command that puts it back later. */
  recover(name: string): string
  /** Of the step that leads requests here. */
  ledWords(handle: InboundHandle, name: string): string
  /** When it holds. `ports` as in `80 -> localhost:8080`. */
  readyWords(handle: InboundHandle, name: string, ports: string): string
}

const exchange: Pick<
  HolderKind,
  'begin' | 'stepsAside' | 'hasSecond' | 'sharesShadows' | 'recover' | 'ledWords' | 'readyWords'
> = {
  begin: ({ cluster, config, holder, options, progress, hooks }) => {
    const { target, mode, force } = config
    const ports = config.ports.map(portOf)
    return cluster.beginExchange({ kind: 'exchange', target, mode, ports, holder, force }, options, progress, hooks)
  },
  stepsAside: false,
  hasSecond: true,
  sharesShadows: false,
  recover: (name) => `kt recover ${name}`,
  ledWords: leadsWords,
  readyWords: ({ namespace }, name, ports) => `requests to ${name}.${namespace} come here: ${ports}.`,
}

const mesh: Pick<HolderKind, 'begin' | 'stepsAside' | 'recover' | 'ledWords'> = {
  begin: ({ cluster, config, holder, options, progress, hooks }) => {
    const { target, force } = config
    const { mode, header, value, prefix } = config.mesh!
    const ports = config.ports.map(portOf)
    return cluster.beginMesh({ target, mode, header, value, prefix, ports, holder, force }, options, progress, hooks)
  },
  stepsAside: false,
  recover: (name) => `kt recover ${name}`,
  ledWords: leadsWords,
}

const kinds: Record<Kind, HolderKind> = {
  selector: { ...exchange, mode: 'selector', hasOriginal: true, stepsAside: true },
  scale: {
    ...exchange,
    mode: 'scale',
    hasOriginal: false,
    ledWords: (handle, name) => {
      const { workload } = handle
      if (!workload) return leadsWords(handle, name)
      return `${workload.kind} ${workload.name} scaled from ${workload.replicas} to 0${portsWords(handle)}`
    },
  },
  run: {
    ...exchange,
    mode: '',
    hasOriginal: false,
    begin: ({ cluster, config, holder, options, progress, hooks }) => {
      const ports = config.ports.map(({ remote, protocol = 'TCP' }) => ({ port: remote, protocol }))
      return cluster.beginRun({ name: config.target, ports, holder }, options, progress, hooks)
    },
    recover: () => 'kt clean',
    ledWords: ({ ports }, name) => {
      const exposed = ports.filter((port) => port.exposed)
      return `${name} made, port ${exposed.map(({ port }) => port).join(', ')}`
    },
  },
  'mesh-auto': {
    ...mesh,
    mode: 'auto',
    hasOriginal: true,
    hasSecond: true,
    sharesShadows: true,
    readyWords: (handle, _, ports) => autoWords(handle as Meshed, ports),
  },
  'mesh-manual': {
    ...mesh,
    mode: 'manual',
    hasOriginal: false,
    // The rules of somebody else say how much goes to it, and two would count twice.
    hasSecond: false,
    sharesShadows: false,
    readyWords: (handle, _, ports) => manualWords(handle as Meshed, ports),
  },
}

export function kindOfHandle(handle: Pick<InboundHandle, 'mode' | 'mesh'>): HolderKind {
  return kinds[kindOf(handle)]
}

export function kindOfConfig({ kind, mode, mesh }: Pick<InboundConfig, 'kind' | 'mode' | 'mesh'>): HolderKind {
  if (mesh) return kinds[`mesh-${mesh.mode}`]
  return kind === 'run' ? kinds.run : kinds[mode]
}

function portOf({ remote, protocol, name, implied }: ExposedPort) {
  return { port: remote, protocol, name, implied }
}
