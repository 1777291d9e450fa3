// What the rest of kt says of a shadow, and is told of it. Plain data: it crosses the border to the worker (calls.ts).
import * as z from 'zod/mini'

const texts = z.record(z.string(), z.string())

export const ShadowKind = z.enum(['agent', 'sshd'])
export type ShadowKind = z.infer<typeof ShadowKind>

/** core/v1 Toleration, as far as a command line says it. */
const Toleration = z.object({
  key: z.string(),
  operator: z.enum(['Exists', 'Equal']),
  value: z.optional(z.string()),
  effect: z.optional(z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])),
})

export const ShadowOptions = z.object({
  kind: ShadowKind,
  image: z.string(),
  nodeSelector: texts,
  tolerations: z.array(Toleration),
  serviceAccount: z.optional(z.string()),
  imagePullSecrets: z.array(z.string()),
  labels: texts,
  annotations: texts,
  /** Requests and limits, `cpu=100m,memory=64Mi` parsed: applied as both. */
  resources: texts,
  /** Who is connected: `user@machine`, goes to an annotation. */
  owner: z.string(),
  readyTimeoutMs: z.number(),
  /** How long the agent keeps the connections of a client that it does not hear from, in seconds. */
  lineWaitS: z.optional(z.number()),
})
export type ShadowOptions = z.infer<typeof ShadowOptions>

/** A shadow and how to reach its SSH server. */
export const ShadowHandle = z.object({
  namespace: z.string(),
  job: z.string(),
  /** The Job's, so that a later one of the same name is never taken for this. */
  jobUid: z.string(),
  /** Its Secret's name, where this client made it. */
  secret: z.optional(z.string()),
  /** The Secret's, where this client made it. */
  secretUid: z.optional(z.string()),
  pod: z.string(),
  node: z.string(),
  kind: ShadowKind,
  /** Port of the SSH server inside the pod. */
  port: z.number(),
  username: z.string(),
  /** ed25519, OpenSSH PEM. In memory only. */
  clientKey: z.string(),
  /** The host key's public half in SSH wire format, base64: pinned. Undefined where the image makes its own (see hostKeyPolicy). */
  hostKey: z.optional(z.string()),
})
export type ShadowHandle = z.infer<typeof ShadowHandle>

/** Progress of a step, as it happens: `shadow: image is being pulled`. */
export type Progress = (step: string, detail: string) => void

export interface ShadowHooks {
  /**
   * The pod has a node: from now on a port-forward may succeed, some 0.4 s before the cluster says that it runs (the
   * kubelet tells the API server late). So dial at once and again every 100 ms until it answers or createShadow
   * rejects. Called once, and not at all when creation failed before.
   */
  dialable?: (shadow: ShadowHandle) => void
  /** Gives up: the Job is removed, then createShadow rejects. */
  signal?: AbortSignal
}
