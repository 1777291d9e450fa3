// What the rest of kt says and gets to know of a shadow. Plain data, as in port.ts, which passes these on.

export type ShadowKind = 'agent' | 'sshd'

/** core/v1 Toleration, as far as a command line says it. */
export interface Toleration {
  key: string
  operator: 'Exists' | 'Equal'
  value?: string
  effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
}

export interface ShadowOptions {
  kind: ShadowKind
  image: string
  nodeSelector: Record<string, string>
  tolerations: Toleration[]
  serviceAccount?: string
  imagePullSecrets: string[]
  labels: Record<string, string>
  annotations: Record<string, string>
  /** Requests and limits, `cpu=100m,memory=64Mi` parsed: applied as both. */
  resources: Record<string, string>
  /** Who is connected: `user@machine`, goes to an annotation. */
  owner: string
  readyTimeoutMs: number
}

/** A shadow and how to reach its SSH server. */
export interface ShadowHandle {
  namespace: string
  job: string
  /** The Job's, so that a later one of the same name is never taken for this. */
  jobUid: string
  /** Its Secret's name, where this client made it. */
  secret?: string
  /** The Secret's, where this client made it. */
  secretUid?: string
  pod: string
  node: string
  kind: ShadowKind
  /** Port of the SSH server inside the pod. */
  port: number
  username: string
  /** ed25519, OpenSSH PEM. In memory only. */
  clientKey: string
  /** The host key's public half in SSH wire format, base64: pinned. Undefined where the image makes its own (see hostKeyPolicy). */
  hostKey: string | undefined
}

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
