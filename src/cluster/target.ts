// What a user names as the target of exchange, mesh, forward, recover: `[service/|deployment/|statefulset/|pod/]NAME`,
// with kubectl's short forms.
import { clusterError } from './errors.ts'

export type TargetKind = 'service' | 'deployment' | 'statefulset' | 'pod'

export interface Target {
  /** Undefined where only a name was given. */
  kind: TargetKind | undefined
  name: string
}

const kinds: Record<string, TargetKind> = {
  service: 'service',
  services: 'service',
  svc: 'service',
  deployment: 'deployment',
  deployments: 'deployment',
  deploy: 'deployment',
  statefulset: 'statefulset',
  statefulsets: 'statefulset',
  sts: 'statefulset',
  pod: 'pod',
  pods: 'pod',
  po: 'pod',
}

// RFC 1123 subdomain, as names of Deployments and Pods are; a Service's are a subset.
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

/** Throws ClusterError. */
export function parseTarget(text: string): Target {
  const slash = text.indexOf('/')
  const name = text.slice(slash + 1)
  const kind = slash < 0 ? undefined : kinds[text.slice(0, slash).toLowerCase()]
  if ((slash >= 0 && !kind) || !NAME.test(name))
    throw clusterError('target-unknown', `${JSON.stringify(text)} is no target`)
  return { kind, name }
}
