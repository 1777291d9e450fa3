// What a configuration says of the shadow, as the cluster's client takes it.
import type { ShadowOptions } from '../cluster/calls.ts'
import type { ShadowConfig } from '../control/config.ts'

const DEFAULT_AGENT_IMAGE = 'node:24-alpine'

export function shadowImage(config: ShadowConfig): string {
  return config.image ?? DEFAULT_AGENT_IMAGE
}

export function shadowOptions(config: ShadowConfig): ShadowOptions {
  return {
    kind: config.shadow,
    image: shadowImage(config),
    nodeSelector: config.nodeSelector,
    tolerations: config.tolerations,
    serviceAccount: config.serviceAccount,
    imagePullSecrets: config.imagePullSecrets,
    labels: config.labels,
    annotations: config.annotations,
    resources: config.podResources,
    owner: config.owner,
    readyTimeoutMs: config.readyTimeoutS * 1000,
    lineWaitS: config.lineWaitS,
  }
}
