// What a command asks for when it starts the engine or a holder. The command line writes these, and takes their types from
// here; whoever reads one reads it against the schema.
import * as z from 'zod/mini'

const texts = z.record(z.string(), z.string())

/** Which cluster, and the shadow to make there. Everything a step needs, so nothing is read from the environment later. */
export const ShadowConfig = z.object({
  kubeconfig: z.optional(z.string()),
  context: z.optional(z.string()),
  namespace: z.optional(z.string()),
  shadow: z.enum(['agent', 'sshd']),
  /** Port-forwards at a time, 1 if undefined. */
  paths: z.optional(z.int().check(z.minimum(1), z.maximum(2))),
  image: z.optional(z.string()),
  readyTimeoutS: z.number(),
  /** How long the agent keeps the connections of a client that it does not hear from. */
  lineWaitS: z.optional(z.number()),
  nodeSelector: texts,
  /** Taints of nodes that the shadow may run on all the same. */
  tolerations: z.array(
    z.object({
      key: z.string(),
      operator: z.enum(['Exists', 'Equal']),
      value: z.optional(z.string()),
      effect: z.optional(z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])),
    }),
  ),
  serviceAccount: z.optional(z.string()),
  imagePullSecrets: z.array(z.string()),
  labels: texts,
  annotations: texts,
  podResources: texts,
  /** `user@machine`, for the shadow's annotation. */
  owner: z.string(),
  /** Environment of the caller: KUBECONFIG, proxies, KT_LOG, and what credential plugins go by. */
  env: texts,
  /** Path of the terminal that the caller sits at, while the command runs. */
  terminal: z.optional(z.string()),
  /** What a `kt up` of this user is connected to: in the same context its namespace is the default. */
  connected: z.optional(z.object({ context: z.string(), server: z.string(), namespace: z.string() })),
})
export type ShadowConfig = z.infer<typeof ShadowConfig>

/** What `kt up` asks for. */
export const UpConfig = z.extend(ShadowConfig, {
  include: z.array(z.string()),
  exclude: z.array(z.string()),
  dns: z.enum(['auto', 'resolved', 'resolvconf', 'none']),
  clusterDomain: z.optional(z.string()),
})
export type UpConfig = z.infer<typeof UpConfig>

/** What a command asks for cannot be read: the two are of different versions. */
export const UNFIT_CONFIG = {
  code: 'bad-request',
  message: 'this kt does not understand what the command asks for',
  hint: 'the command and the kt that runs are of different versions: `kt down`, then try again',
} as const
