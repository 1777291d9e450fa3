// What `kt list` is told of a namespace.

export interface ListedTarget {
  kind: 'service' | 'deployment' | 'statefulset'
  name: string
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`, `Headless`; empty of a workload. */
  type: string
  ports: { port: number; protocol: string; name: string }[]
  /** Pods that are ready, and all; null where they cannot be seen. */
  ready: number | null
  total: number | null
  /** Why it cannot be exchanged or meshed; empty where it can. */
  unfit: string
}

export interface TargetList {
  namespace: string
  context: string
  cluster: string
  targets: ListedTarget[]
  /** Who holds what, by the leases. */
  held: {
    kind: 'exchange' | 'mesh' | 'run'
    mode: string
    /** `web`, or `deployment/web`. */
    target: string
    /** `user@machine`. */
    holder: string
    /** ISO 8601. */
    since: string
    /** Of a mesh: `kt-version: abc`. */
    version: string | null
  }[]
  /** Sentences: what could not be seen. */
  notes: string[]
}
