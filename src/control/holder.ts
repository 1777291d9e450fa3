// What a command that holds the terminal (exchange, mesh, run, forward) and its holder process say to each other: the
// configuration as the first line of the holder's input, then commands; events as lines of its output. A task
// (recover, clean) is asked and answered the same way.
import * as z from 'zod/mini'
import { ShadowConfig } from './config.ts'
import type { PlaceEnvironment, PlaceFiles, ProgramPlace } from './place.ts'
import type { ControlError, Progress, ProxyStatus } from './protocol.ts'
import type { TargetList } from './targets.ts'
import type { PutBack, RequestReport } from './views.ts'

const ForwardPort = z.object({
  /** 0: any free one. */
  local: z.number(),
  /** Number or name. Default: as `local`, or the only one there is. */
  remote: z.optional(z.string()),
})
export type ForwardPort = z.infer<typeof ForwardPort>

/** `kt forward`. */
const ForwardConfig = z.extend(ShadowConfig, {
  kind: z.literal('forward'),
  target: z.string(),
  ports: z.array(ForwardPort),
})
export type ForwardConfig = z.infer<typeof ForwardConfig>

/** `kt proxy`. */
const ProxyConfig = z.extend(ShadowConfig, {
  kind: z.literal('proxy'),
  /** Of this machine; 0: any free one. */
  port: z.number(),
  /** What is not the cluster's is refused. */
  clusterOnly: z.boolean(),
  include: z.array(z.string()),
  exclude: z.array(z.string()),
  clusterDomain: z.optional(z.string()),
})
export type ProxyConfig = z.infer<typeof ProxyConfig>

const ShellPort = z.object({
  /** Of this machine's loopback; 0: any free one. */
  local: z.number(),
  /** That the command listens on. */
  inside: z.number(),
})
export type ShellPort = z.infer<typeof ShellPort>

/** Whose environment and files a program gets that runs here in place of a container. */
const PlaceWish = z.object({
  /** `[KIND/]NAME` */
  target: z.string(),
  container: z.optional(z.string()),
  environment: z.boolean(),
  files: z.boolean(),
})
export type PlaceWish = z.infer<typeof PlaceWish>

/** `kt shell`. */
const ShellConfig = z.extend(ShadowConfig, {
  kind: z.literal('shell'),
  /** As `kt status` calls it. */
  name: z.string(),
  /** The command and its arguments, for people who look. */
  command: z.array(z.string()),
  ports: z.array(ShellPort),
  include: z.array(z.string()),
  exclude: z.array(z.string()),
  clusterDomain: z.optional(z.string()),
  place: z.optional(PlaceWish),
})
export type ShellConfig = z.infer<typeof ShellConfig>

/** Which requests a mesh is about. */
const MeshConfig = z.object({
  mode: z.enum(['auto', 'manual']),
  /** auto: a header; manual: a label. */
  header: z.string(),
  /** manual: made up where there is none. */
  value: z.optional(z.string()),
  /** A header that begins with the value is enough. */
  prefix: z.boolean(),
})
export type MeshConfig = z.infer<typeof MeshConfig>

/** A port of the Service and the port of this machine that it comes to. */
const ExposedPort = z.object({
  local: z.number(),
  /** Before the cluster was asked, where a name or nothing was given: as `local`. */
  remote: z.number(),
  /** The port of this name is meant. */
  name: z.optional(z.string()),
  /** No port was named: the one that is called as the local one, else the only one there is. */
  implied: z.optional(z.boolean()),
  protocol: z.optional(z.enum(['TCP', 'UDP'])),
})
export type ExposedPort = z.infer<typeof ExposedPort>

/** `kt exchange`, `kt mesh`, `kt run`. */
const InboundConfig = z.extend(ShadowConfig, {
  kind: z.enum(['exchange', 'mesh', 'run']),
  /** `[KIND/]NAME`; of `run` the new Service's name. */
  target: z.string(),
  mode: z.enum(['selector', 'scale']),
  /** Of `mesh`. */
  mesh: z.optional(MeshConfig),
  ports: z.array(ExposedPort),
  /** Takes over what somebody else holds. */
  force: z.boolean(),
  /** Tells the local program who connected. */
  proxyProtocol: z.optional(z.enum(['v1', 'v2'])),
  /** Whether something must listen here before it begins. */
  check: z.boolean(),
  /** Whether the original serves what the local program does not. */
  fallback: z.boolean(),
  /** Goes on when the command has ended. */
  background: z.boolean(),
  /** Tells each request. */
  log: z.boolean(),
  /** Bytes of each body that are told with it. */
  bodies: z.optional(z.number()),
  /** Where a program is started: then the ports may be left out, and are those that the container serves. */
  place: z.optional(PlaceWish),
  /** Where the program runs in a shell of its own, which two sockets of this process lead to. */
  shell: z.optional(z.pick(ShellConfig, { name: true, command: true })),
})
export type InboundConfig = z.infer<typeof InboundConfig>

const ClusterConfig = z.pick(ShadowConfig, {
  kubeconfig: true,
  context: true,
  namespace: true,
  owner: true,
  env: true,
  terminal: true,
  connected: true,
})

/** `kt recover`. */
const RecoverConfig = z.extend(ClusterConfig, { kind: z.literal('recover'), target: z.string(), force: z.boolean() })
export type RecoverConfig = z.infer<typeof RecoverConfig>

/** `kt clean`. */
const CleanConfig = z.extend(ClusterConfig, {
  kind: z.literal('clean'),
  dryRun: z.boolean(),
  /** Jobs of shadows that living processes of this user use. */
  liveShadows: z.array(z.string()),
})

/** Is there a cluster behind the kubeconfig that answers? */
const IdentifyConfig = z.extend(ClusterConfig, { kind: z.literal('identify') })

/** `kt env`. */
const EnvConfig = z.extend(ClusterConfig, {
  kind: z.literal('env'),
  target: z.string(),
  container: z.optional(z.string()),
  /** Also the variables for Services. */
  serviceLinks: z.boolean(),
  /** From the running process instead of the spec. */
  live: z.boolean(),
})
export type EnvConfig = z.infer<typeof EnvConfig>

/** `kt list`. */
const ListConfig = z.extend(ClusterConfig, { kind: z.literal('list') })
export type ListConfig = z.infer<typeof ListConfig>

const ofFiles = {
  target: z.string(),
  container: z.optional(z.string()),
  /** Absolute path of the folder. */
  to: z.string(),
  /** Bytes that are copied from the pod. */
  most: z.number(),
}

/** `kt files`. */
const FilesConfig = z.extend(ClusterConfig, { kind: z.literal('files'), ...ofFiles })
export type FilesConfig = z.infer<typeof FilesConfig>

/** `kt files --watch`. */
const KeepFilesConfig = z.extend(ClusterConfig, { kind: z.literal('keep-files'), ...ofFiles })
export type KeepFilesConfig = z.infer<typeof KeepFilesConfig>

/** The first line. */
export const HolderConfig = z.discriminatedUnion('kind', [
  ForwardConfig,
  ProxyConfig,
  InboundConfig,
  ShellConfig,
  RecoverConfig,
  CleanConfig,
  IdentifyConfig,
  EnvConfig,
  ListConfig,
  FilesConfig,
  KeepFilesConfig,
])
export type HolderConfig = z.infer<typeof HolderConfig>
export type HoldConfig = ForwardConfig | ProxyConfig | InboundConfig | ShellConfig | KeepFilesConfig
export type TaskConfig = Exclude<HolderConfig, HoldConfig>

/** Lines after the first. The end of the input means `end` too, unless the holder goes on in the background. */
export const HolderCommand = z.object({ op: z.literal('end') })
export type HolderCommand = z.infer<typeof HolderCommand>

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

export type HolderLine =
  | ({ type: 'progress' } & Progress)
  /** It holds; `message` says what, `target` under which name, `place` what a program is to get. */
  | { type: 'ready'; message: string; target?: string; place?: ProgramPlace; files?: PlaceFiles; proxy?: ProxyStatus }
  /** What a program in a shell is to get; the launcher is started then. */
  | { type: 'placed'; place: ProgramPlace }
  /** Something a person should know, at any time. */
  | { type: 'notice'; message: string }
  /** A request has ended. */
  | { type: 'request'; request: RequestReport }
  /** It has ended, with why; everything is put back. */
  | { type: 'ended'; message: string }
  /** A task's result. */
  | { type: 'recovered'; result: PutBack }
  | { type: 'identified' }
  | { type: 'environment'; environment: PlaceEnvironment }
  | { type: 'listed'; targets: TargetList }
  | { type: 'files'; files: PlaceFiles }
  | { type: 'cleaned'; found: LeftBehind[]; done: PutBack[] }
  /** It could not begin, or had to end; everything is put back when the output closes. */
  | ({ type: 'failed' } & ControlError)
