// What is said between the daemon and the worker about a container's place: its environment and its files.
import * as z from 'zod/mini'

export const PlaceRequest = z.object({
  /** `[KIND/]NAME`, see target.ts. */
  target: z.string(),
  container: z.optional(z.string()),
  /** Also the variables for Services. */
  serviceLinks: z.boolean(),
  /** Also what the volumes hold. */
  files: z.boolean(),
  /** Whether tokens are asked for; otherwise their files are named, to stay as they are. */
  tokens: z.boolean(),
})
export type PlaceRequest = z.infer<typeof PlaceRequest>

const Variable = z.object({ name: z.string(), value: z.string() })
export type Variable = z.infer<typeof Variable>

/** What the container has and could not be found out: `PASSWORD`, `all of Secret x`, or `/etc/tls: Secret tls`. */
const Missing = z.object({ name: z.string(), why: z.string() })
export type Missing = z.infer<typeof Missing>

const PlacedFile = z.object({
  /** Relative to the mount. */
  path: z.string(),
  /** Base64. */
  data: z.string(),
  /** Permission bits. */
  mode: z.number(),
  /** A token that was not asked for: what is there stays. */
  stays: z.optional(z.boolean()),
})
export type PlacedFile = z.infer<typeof PlacedFile>

/** One place in the container's file system. */
const PlacedMount = z.object({
  /** Absolute, without `..`. */
  path: z.string(),
  volume: z.string(),
  readOnly: z.boolean(),
  content: z.union([
    /** Of a ConfigMap, Secret, projected or downward API volume, which the kubelet keeps up to date. */
    z.object({ kind: z.literal('files'), files: z.array(PlacedFile) }),
    /** A part of such a volume (subPath), which stays as it was: one file (path '') or a folder. */
    z.object({ kind: z.literal('part'), files: z.array(PlacedFile) }),
    z.object({ kind: z.literal('empty') }),
    /** Only the pod has it. */
    z.object({ kind: z.literal('copy') }),
  ]),
})
export type PlacedMount = z.infer<typeof PlacedMount>

/** A port of the Service that the container serves. */
const ServedPort = z.object({
  /** Of the Service. */
  port: z.number(),
  /** Of the container. */
  target: z.number(),
  protocol: z.enum(['TCP', 'UDP']),
})
export type ServedPort = z.infer<typeof ServedPort>

export const Place = z.object({
  namespace: z.string(),
  /** Null where there is none now: then the template of the workload was read. */
  pod: z.nullable(z.string()),
  /** It runs, so that a command can be run in its container. */
  running: z.boolean(),
  container: z.string(),
  /** All that run as long as the pod does. */
  containers: z.array(z.string()),
  /** The first process that a container sees is not the container's own. */
  sharedProcesses: z.boolean(),
  variables: z.array(Variable),
  missing: z.array(Missing),
  /** Empty unless they were asked for. */
  mounts: z.array(PlacedMount),
  missingFiles: z.array(Missing),
  /** Lifetime of the shortest of the tokens, ms; null without one. */
  tokenMs: z.nullable(z.number()),
  /** Ports of the Service that the container serves; empty where the target is none. */
  ports: z.array(ServedPort),
})
export type Place = z.infer<typeof Place>

/** A command to run in a container. */
export const ExecRequest = z.object({
  namespace: z.string(),
  pod: z.string(),
  container: z.string(),
  command: z.array(z.string()),
})
export type ExecRequest = z.infer<typeof ExecRequest>
