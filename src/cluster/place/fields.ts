// Fields of a pod and resources of its containers as text: what `fieldRef` and `resourceFieldRef` stand for. Pure.
import type { V1Container, V1Pod, V1ResourceFieldSelector } from '@kubernetes/client-node'
import { inUnitsOf, isZero } from './quantity.ts'

/** Why a value is not known, as the end of a sentence. */
export class Unknown {
  readonly why: string

  constructor(why: string) {
    this.why = why
  }
}

export interface FieldFacts {
  /** Without a status and a name where there is no pod, but only the template of one. */
  pod: V1Pod
  /** Of the pod's node; undefined where it cannot be read, with why in `noNode`. */
  allocatable?: Record<string, string>
  noNode?: string
}

const NO_POD = 'there is no pod now'

/** Docs: the downward API's list of fields. Fields that do not exist are unknown. */
export function podField(path: string, { pod }: FieldFacts): string | Unknown {
  const { metadata, spec, status } = pod
  const one = /^metadata\.(labels|annotations)\['(.*)'\]$/s.exec(path)
  if (one) return metadata?.[one[1] as 'labels' | 'annotations']?.[one[2]] ?? ''
  const known = (value: string | undefined) => (value === undefined || value === '' ? new Unknown(NO_POD) : value)
  switch (path) {
    case 'metadata.name':
      return known(metadata?.name)
    case 'metadata.namespace':
      return known(metadata?.namespace)
    case 'metadata.uid':
      return known(metadata?.uid)
    case 'metadata.labels':
      return formatMap(metadata?.labels ?? {})
    case 'metadata.annotations':
      return formatMap(metadata?.annotations ?? {})
    case 'spec.nodeName':
      return known(spec?.nodeName)
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? ''
    case 'status.hostIP':
      return known(status?.hostIP)
    case 'status.hostIPs':
      return known(status?.hostIPs?.map(({ ip }) => ip).join(','))
    case 'status.podIP':
      return known(status?.podIP)
    case 'status.podIPs':
      return known(status?.podIPs?.map(({ ip }) => ip).join(','))
    default:
      return new Unknown(`kt does not know the field ${path}`)
  }
}

// Resources for which a whole pod may have a limit (spec.resources, Kubernetes 1.34).
const OF_WHOLE_PODS = ['cpu', 'memory']

/** `container` is the one whose environment or volume it is, and is meant where the selector names none. */
export function resourceField(
  { resource, divisor = '0', containerName }: V1ResourceFieldSelector,
  container: V1Container | undefined,
  facts: FieldFacts,
): string | Unknown {
  const { spec } = facts.pod
  const named = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].find(
    ({ name }) => name === containerName,
  )
  const of = containerName ? named : container
  const match = /^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)$/.exec(resource)
  if (!of || !match) return new Unknown(`kt does not know ${resource} of container ${containerName ?? ''}`)
  const [, list, name] = match
  let amount = of.resources?.[list as 'limits' | 'requests']?.[name]
  // Huge pages are never handed out beyond what is there, so their limit is always written down.
  if (list === 'limits' && isZero(amount) && !name.startsWith('hugepages-')) {
    const whole = OF_WHOLE_PODS.includes(name) ? spec?.resources?.limits?.[name] : undefined
    amount = isZero(whole) ? facts.allocatable?.[name] : whole
    if (amount === undefined)
      return new Unknown(
        `the container has no such limit, so it is what its node can give, ${facts.noNode ?? 'which is not known'}`,
      )
  }
  return inUnitsOf(amount ?? '0', divisor, name === 'cpu') ?? new Unknown(`${amount} is no amount`)
}

/** `key="value"` lines in the order of their keys, the values quoted as Go does it. */
function formatMap(map: Record<string, string>): string {
  // By bytes, as Go compares strings.
  const keys = Object.keys(map).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return keys.map((key) => `${key}=${goQuoted(map[key])}`).join('\n')
}

const ESCAPES: Record<string, string> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
}

/** Go's strconv.Quote: what is printable (letters, marks, numbers, punctuation, symbols, the space) stays. */
function goQuoted(text: string): string {
  const quoted = Array.from(text, (char) => {
    if (ESCAPES[char]) return ESCAPES[char]
    if (char === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char)) return char
    const code = char.codePointAt(0)!
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
    return code < 0x1_0000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`
  })
  return `"${quoted.join('')}"`
}
