// Which addresses are the cluster's: asked in the way that is exact for those who have the
// right, and in ways that need less for everybody else; what was guessed is said, with the right that would make it exact.
import type { V1Node, V1Pod, V1Service } from '@kubernetes/client-node'
import { around, contains, familyOf, isCidr, merge } from '../wire/cidr.ts'
import { network } from '../wire/prefix.ts'
import type { Api } from './api.ts'
import { ClusterError, type Range, type Ranges } from './calls.ts'
import { fromStatus, type Status } from './errors.ts'

/** A kind's ranges and what to say of them. */
interface Found {
  ranges: Range[]
  notes: string[]
}

// Enough to see every neighbourhood without pulling megabytes of a large cluster.
const SAMPLE = '250'
// What a guess from one address may take at most, and the steps down when that would take a node as well. The /16 and
// /112 are kubeadm's and kind's usual sizes a cluster, the /24 and /64 what a node gets (kube-controller-manager's
// --node-cidr-mask-size-ipv4 and -ipv6).
const guessLengths = { pods: { 4: [16, 20, 24, 32], 6: [56, 64, 128] }, services: { 4: [16, 20, 24], 6: [112, 120] } }

/** The pod of a shadow that is being made: where nothing else can be seen, its own addresses are a sample. */
export type OwnPod = () => Promise<V1Pod | undefined>

/**
 * Never throws for want of a right: then `ranges` may be short of what there is, and `notes` say so. Throws ClusterError
 * when the API server cannot be reached or knows nobody.
 */
export async function discoverRanges(
  api: Api,
  namespace: string,
  serverAddresses: string[],
  ownPod: OwnPod = async () => undefined,
): Promise<Ranges> {
  const [services, pods] = await Promise.all([
    serviceRanges(api, namespace, serverAddresses),
    podRanges(api, namespace, serverAddresses, ownPod),
  ])
  return { ranges: [...services.ranges, ...pods.ranges], notes: [...services.notes, ...pods.notes] }
}

async function serviceRanges(api: Api, namespace: string, servers: string[]): Promise<Found> {
  const [declared, refusal4, refusal6] = await Promise.all([
    serviceCidrs(api),
    rangeFromRefusal(api, namespace, 4),
    rangeFromRefusal(api, namespace, 6),
  ])
  if (declared.length > 0) return { ranges: declared, notes: [] }
  const told = [refusal4, refusal6].flatMap((each) => each ?? [])
  if (told.length > 0) return { ranges: told.flatMap((cidr) => range(cidr, 'services', TOLD, false)), notes: [] }

  const { items, scope } = await list<V1Service>(api, namespace, 'services')
  const addresses = items.flatMap(({ spec }) => spec?.clusterIPs ?? []).filter(isCidr)
  return guess('services', addresses, servers, scope, 'get `list` on servicecidrs.networking.k8s.io')
}

const TOLD = "the API server's answer to a Service with an address out of range"

// networking.k8s.io/v1 from 1.33, v1beta1 from 1.31 on.
async function serviceCidrs(api: Api): Promise<Range[]> {
  for (const version of ['v1', 'v1beta1']) {
    const { status, body } = await api.ask('GET', `/apis/networking.k8s.io/${version}/servicecidrs`)
    if (status === 200) {
      const { items = [] } = body as { items?: { metadata?: { name?: string }; spec?: { cidrs?: string[] } }[] }
      return items.flatMap(({ metadata, spec }) =>
        (spec?.cidrs ?? []).flatMap((cidr) => range(cidr, 'services', `ServiceCIDR ${metadata?.name}`, false)),
      )
    }
    throwUnlessRight(status, body)
    if (status !== 404) return []
  }
  return []
}

// A Service that asks for an address which is nobody's (RFC 5737, RFC 3849) is refused with the range it should be from.
// Every API server that is older than the ServiceCIDR API answers so, and it needs only `create` on services.
async function rangeFromRefusal(api: Api, namespace: string, family: 4 | 6): Promise<string | undefined> {
  const body = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kt-range-question' },
    spec: {
      clusterIP: family === 4 ? '192.0.2.1' : '2001:db8::1',
      ipFamilies: [family === 4 ? 'IPv4' : 'IPv6'],
      ports: [{ port: 1 }],
    },
  }
  const query = { dryRun: 'All' }
  const answer = await api.ask('POST', `/api/v1/namespaces/${namespace}/services`, { body, query })
  throwUnlessRight(answer.status, answer.body)
  const [, cidr] = /range of valid IPs is ([0-9a-fA-F.:]+\/\d+)/.exec(answer.body?.message ?? '') ?? []
  return cidr && isCidr(cidr) && familyOf(cidr) === family ? cidr : undefined
}

async function podRanges(api: Api, namespace: string, servers: string[], ownPod: OwnPod): Promise<Found> {
  const [nodes, listed] = await Promise.all([
    collection<V1Node>(api, '/api/v1/nodes', {}),
    list<V1Pod>(api, namespace, 'pods'),
  ])
  const assigned = (nodes ?? []).flatMap(({ spec }) => spec?.podCIDRs ?? spec?.podCIDR ?? []).filter(isCidr)
  let { items: pods, scope } = listed
  if (pods.every((pod) => podAddresses(pod).length === 0) && assigned.length === 0) {
    const own = await ownPod()
    if (own) [pods, scope] = [[own], `in the namespace ${namespace}, the shadow's own`]
  }
  const addresses = pods.flatMap(podAddresses)
  const hosts = pods.flatMap(({ status }) => status?.hostIPs?.map(({ ip }) => ip ?? '') ?? status?.hostIP ?? [])
  const outside = addresses.filter((address) => !assigned.some((cidr) => contains(cidr, address)))
  const avoid = [...servers, ...hosts, ...(nodes ?? []).flatMap(nodeAddresses)].filter(isCidr)
  const exact = merge(assigned).map((cidr) => range(cidr, 'pods', "nodes' podCIDRs", false)[0])
  if (exact.length > 0 && outside.length === 0) return { ranges: exact, notes: [] }

  // Networks with an address management of their own (Calico, the clouds' VPC ones) leave podCIDRs empty or unused.
  const want = nodes === undefined ? 'get `list` on nodes' : 'use --include with the range the pod network has'
  const guessed = guess('pods', outside, avoid, scope, want)
  return { ranges: [...exact, ...guessed.ranges], notes: guessed.notes }
}

// Pods on the host's network have the node's addresses, which are not the cluster's.
function podAddresses({ spec, status }: V1Pod): string[] {
  return spec?.hostNetwork ? [] : (status?.podIPs?.map(({ ip }) => ip ?? '') ?? []).filter(isCidr)
}

function nodeAddresses({ status }: V1Node): string[] {
  return status?.addresses?.map(({ address }) => address) ?? []
}

/** Ranges around the addresses seen: the widest that has none of `avoid` (nodes, the API server) in it. */
function guess(
  kind: 'pods' | 'services',
  addresses: string[],
  avoid: string[],
  scope: string | undefined,
  exactly: string,
): Found {
  if (scope === undefined) {
    const note = `no right to list ${kind}: their addresses are not captured; use --include CIDR, or ${exactly}`
    return { ranges: [], notes: [note] }
  }
  if (addresses.length === 0) {
    const note = `there are no ${kind} ${scope} to see addresses of: none is captured; use --include CIDR, or ${exactly}`
    return { ranges: [], notes: [note] }
  }
  const cidrs = addresses.map((address) => {
    const candidates = guessLengths[kind][familyOf(address)].map((length) => around(address, length))
    return candidates.find((cidr) => !avoid.some((other) => contains(cidr, other))) ?? network(address)
  })
  const merged = merge(cidrs)
  const source = `seen on ${addresses.length} addresses of ${kind} ${scope}`
  const shown = merged.length > 4 ? `${merged.slice(0, 4).join(', ')} and ${merged.length - 4} more` : merged.join(', ')
  return {
    ranges: merged.flatMap((cidr) => range(cidr, kind, source, true)),
    notes: [
      `range of ${kind} guessed as ${shown} (${source}); to have it exact: ${exactly}, or use --include and --exclude`,
    ],
  }
}

// What can be listed: everywhere, or else in the namespace. `scope` undefined: nothing.
async function list<T>(
  api: Api,
  namespace: string,
  resource: 'pods' | 'services',
): Promise<{ items: T[]; scope: string | undefined }> {
  const [everywhere, here] = await Promise.all([
    collection<T>(api, `/api/v1/${resource}`, { limit: SAMPLE }),
    collection<T>(api, `/api/v1/namespaces/${namespace}/${resource}`, { limit: SAMPLE }),
  ])
  if (everywhere) return { items: everywhere, scope: 'in the cluster' }
  return { items: here ?? [], scope: here && `in the namespace ${namespace}` }
}

async function collection<T>(api: Api, path: string, query: Record<string, string>): Promise<T[] | undefined> {
  const { status, body } = await api.ask('GET', path, { query })
  throwUnlessRight(status, body)
  return status === 200 ? ((body as { items?: T[] }).items ?? []) : undefined
}

// A missing right has another way round it; an API server that fails has not.
function throwUnlessRight(status: number, body: Status): void {
  if (status < 500) return
  const error = fromStatus(status, body, 'looking up address ranges')
  if (error instanceof ClusterError && error.code === 'unreachable') throw error
}

function range(cidr: string, kind: Range['kind'], source: string, guessed: boolean): Range[] {
  return isCidr(cidr) ? [{ cidr: network(cidr), kind, source, guessed }] : []
}
