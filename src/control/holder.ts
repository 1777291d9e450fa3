// What a command that holds the terminal (exchange, mesh, run, forward) and its holder process say to each other: the
// configuration as the first line of the holder's input, then commands; events as lines of its output. A task
// (recover, clean) is asked and answered the same way.
import type { ControlError, Progress, ShadowConfig } from './protocol.ts'
import type { PutBack } from './views.ts'

/** `kt forward`. */
export interface ForwardConfig extends ShadowConfig {
  kind: 'forward'
  target: string
  ports: ForwardPort[]
}

export interface ForwardPort {
  /** 0: any free one. */
  local: number
  /** Number or name. Default: as `local`, or the only one there is. */
  remote?: string
}

/** `kt exchange`, `kt mesh`, `kt run`. */
export interface InboundConfig extends ShadowConfig {
  kind: 'exchange' | 'mesh' | 'run'
  /** `[KIND/]NAME`; of `run` the new Service's name. */
  target: string
  mode: 'selector' | 'scale'
  /** Of `mesh`. */
  mesh?: MeshConfig
  ports: ExposedPort[]
  /** Takes over what somebody else holds. */
  force: boolean
  /** Tells the local program who connected. */
  proxyProtocol?: 'v1' | 'v2'
  /** Whether something must listen here before it begins. */
  check: boolean
  /** Whether the original serves what the local program does not. */
  fallback: boolean
  /** Goes on when the command has ended. */
  background: boolean
}

/** Which requests a mesh is about. */
export interface MeshConfig {
  mode: 'auto' | 'manual'
  /** auto: a header; manual: a label. */
  header: string
  /** manual: made up where there is none. */
  value?: string
  /** A header that begins with the value is enough. */
  prefix: boolean
}

/** A port of the Service and the port of this machine that it comes to. */
export interface ExposedPort {
  local: number
  /** Before the cluster was asked, where a name or nothing was given: as `local`. */
  remote: number
  /** The port of this name is meant. */
  name?: string
  /** No port was named: the one that is called as the local one, else the only one there is. */
  implied?: boolean
  protocol?: 'TCP' | 'UDP'
}

/** `kt recover`. */
export interface RecoverConfig extends ClusterConfig {
  kind: 'recover'
  target: string
  force: boolean
}

/** `kt clean`. */
export interface CleanConfig extends ClusterConfig {
  kind: 'clean'
  dryRun: boolean
  /** Jobs of shadows that living processes of this user use. */
  liveShadows: string[]
}

/** Is there a cluster behind the kubeconfig that answers? */
export interface IdentifyConfig extends ClusterConfig {
  kind: 'identify'
}

type ClusterConfig = Pick<
  ShadowConfig,
  'kubeconfig' | 'context' | 'namespace' | 'owner' | 'env' | 'terminal' | 'connected'
>

export type HoldConfig = ForwardConfig | InboundConfig
export type TaskConfig = RecoverConfig | CleanConfig | IdentifyConfig
export type HolderConfig = HoldConfig | TaskConfig

/** What a dead client left in the cluster. */
export interface LeftBehind {
  kind: string
  target: string
  namespace: string
  holder: string | null
  /** Why it is believed dead. */
  reason: string
  /** What cleaning does, in that order. */
  actions: string[]
}

/** Lines after the first. The end of the input means `end` too, unless the holder goes on in the background. */
export type HolderCommand = { op: 'end' }

export type HolderLine =
  | ({ type: 'progress' } & Progress)
  /** It holds; `message` says what, `target` under which name. */
  | { type: 'ready'; message: string; target?: string }
  /** Something a person should know, at any time. */
  | { type: 'notice'; message: string }
  /** It has ended, with why; everything is put back. */
  | { type: 'ended'; message: string }
  /** A task's result. */
  | { type: 'recovered'; result: PutBack }
  | { type: 'identified' }
  | { type: 'cleaned'; found: LeftBehind[]; done: PutBack[] }
  /** It could not begin, or had to end; everything is put back when the output closes. */
  | ({ type: 'failed' } & ControlError)
