// A container's environment, computed from the pod's spec in the order in which the kubelet does it: envFrom, then env with
// references expanded, then the Services. What the image and the container runtime add (PATH, HOME, HOSTNAME) is not in the spec. Pure.
import type { V1Container, V1EnvVarSource, V1Service } from '@kubernetes/client-node'
import type { Missing, Variable } from '../place-calls.ts'
import { expand, references } from './expand.ts'
import { type FieldFacts, podField, resourceField, Unknown } from './fields.ts'
import { serviceVariables } from './service-links.ts'
import { entriesOf, type SourceKind, type Sources } from './sources.ts'

export interface EnvironmentFacts extends FieldFacts {
  container: V1Container
  sources: Sources
  /** Those that have variables: the namespace's, unless the pod wants none, and `kubernetes`. */
  services: V1Service[]
  unread: UnreadServices[]
  /** Of the cluster's version 1.MINOR. */
  minor: number
  /** Also what the kubelet tells of Services. */
  serviceLinks: boolean
}

/** Services that could not be read. */
export interface UnreadServices {
  /** `those of Service kubernetes` */
  name: string
  why: string
  /** Their variables begin so. */
  prefix: string
}

export interface Environment {
  variables: Variable[]
  missing: Missing[]
}

// Until 1.29 the kubelet left out keys of envFrom that are no C identifiers with dashes and dots; since 1.30 it takes all.
const ALL_NAMES_SINCE = 30
// Kubernetes: keys of ConfigMaps and Secrets.
const KEY = /^[-._a-zA-Z0-9]+$/
const OLD_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/

export function environmentOf(facts: EnvironmentFacts): Environment {
  const { container, sources, services, unread, serviceLinks } = facts
  const variables = new Map<string, string>()
  const missing = new Map<string, string>()
  const forServices = serviceVariables(services)

  // What cannot be read may have a variable that is not known otherwise.
  const prefixes: string[] = []
  const mayBe = (name: string) =>
    missing.has(name) ||
    prefixes.some((prefix) => name.startsWith(prefix) && KEY.test(name.slice(prefix.length))) ||
    unread.some(({ prefix }) => isServiceName(name) && name.startsWith(prefix))
  const missWhole = (name: string, prefix: string, why: string) => {
    prefixes.push(prefix)
    missing.set(name, why)
  }

  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const [kind, ref]: [SourceKind, typeof configMapRef] = configMapRef
      ? ['ConfigMap', configMapRef]
      : ['Secret', secretRef]
    if (!ref?.name) continue
    const entries = entriesOf(sources, kind, ref.name, false)
    const all = `all of ${kind} ${ref.name}`
    if (typeof entries === 'string') missWhole(all, prefix, entries)
    else if (!entries) {
      if (!ref.optional) missWhole(all, prefix, 'it is not there')
    } else
      for (const [key, value] of entries) {
        const name = prefix + key
        if (facts.minor >= ALL_NAMES_SINCE || isOldName(name)) variables.set(name, value.toString())
      }
  }

  for (const { name, value, valueFrom } of container.env ?? []) {
    let result: string | Unknown | undefined
    if (value) {
      const lookup = (one: string) => variables.get(one) ?? forServices.get(one)
      const unknown = references(value).find((one) => lookup(one) === undefined && mayBe(one))
      result = unknown ? new Unknown(`it refers to $(${unknown}), which is not known`) : expand(value, lookup)
    } else result = valueFrom ? sourceValue(valueFrom, facts) : ''
    // An optional one that is not there leaves what an earlier source has set.
    if (result === undefined) continue
    if (result instanceof Unknown) {
      // The kubelet would have put this in place of an earlier value.
      variables.delete(name)
      missing.set(name, result.why)
    } else {
      missing.delete(name)
      variables.set(name, result)
    }
  }

  if (serviceLinks) {
    for (const [name, value] of forServices) if (!variables.has(name) && !missing.has(name)) variables.set(name, value)
    for (const { name, why } of unread) missing.set(name, why)
  }
  return {
    variables: [...variables].map(([name, value]) => ({ name, value })),
    missing: [...missing].map(([name, why]) => ({ name, why })),
  }
}

/** Undefined: not there, and optional. */
function sourceValue(from: V1EnvVarSource, facts: EnvironmentFacts): string | Unknown | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = from
  if (fieldRef) return podField(fieldRef.fieldPath, facts)
  if (resourceFieldRef) return resourceField(resourceFieldRef, facts.container, facts)
  if (fileKeyRef) {
    const where = `the file ${fileKeyRef.path} in the volume ${fileKeyRef.volumeName}`
    return new Unknown(`it comes from ${where}, which only the pod has; \`kt env --live\` knows it`)
  }
  const [kind, ref]: [SourceKind, typeof secretKeyRef] = configMapKeyRef
    ? ['ConfigMap', configMapKeyRef]
    : ['Secret', secretKeyRef]
  if (!ref?.name) return new Unknown(`kt does not know ${Object.keys(from).join(', ')}`)
  const entries = entriesOf(facts.sources, kind, ref.name, false)
  if (typeof entries === 'string') return new Unknown(entries)
  const value = entries?.get(ref.key)
  if (value) return value.toString()
  if (ref.optional) return undefined
  return new Unknown(entries ? `${kind} ${ref.name} has no key ${ref.key}` : `${kind} ${ref.name} is not there`)
}

/** As in service-links.ts. */
function isServiceName(name: string): boolean {
  return /_(SERVICE|PORT)(_|$)/.test(name)
}

function isOldName(name: string): boolean {
  return OLD_NAME.test(name) && name !== '.' && !name.startsWith('..')
}
