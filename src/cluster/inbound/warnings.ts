// What of a Service will not work while it is exchanged, or not as one might think: sentences for the terminal.
import type { V1ObjectMeta } from '@kubernetes/client-node'
import type { InboundContext } from './context.ts'
import type { Found, Workload } from './resolve.ts'

interface Autoscaler {
  metadata: V1ObjectMeta
  spec: { scaleTargetRef: { kind: string; name: string } }
}

// Marks that tools leave on what they keep as it is written elsewhere.
const keepers: [string, RegExp][] = [
  ['Argo CD', /^argocd\.argoproj\.io\//],
  ['Flux', /^(kustomize|helm)\.toolkit\.fluxcd\.io\//],
  ['Rancher Fleet', /^objectset\.rio\.cattle\.io\//],
]

export async function warningsOf(context: InboundContext, found: Found, mode: 'selector' | 'scale'): Promise<string[]> {
  const { service, workload } = found
  const warnings: string[] = []
  if (service && mode === 'selector') warnings.push(...serviceWarnings(found))
  const changed = mode === 'selector' ? service?.metadata : workload?.object.metadata
  const keeper = keeperOf(changed)
  const what = mode === 'selector' ? `Service ${service?.metadata?.name}` : `${workload?.kind} ${changed?.name}`
  if (keeper)
    warnings.push(
      `${keeper} keeps ${what} as it is written elsewhere and may undo the exchange; kt will say so when it does`,
    )
  if (workload && mode === 'scale') {
    const scaler = await autoscalerOf(context, workload)
    if (scaler)
      warnings.push(
        `the HorizontalPodAutoscaler ${scaler} rests while ${what} is at 0, and decides its number again afterwards`,
      )
  }
  return warnings
}

/** Pure. */
export function serviceWarnings({ service }: Pick<Found, 'service'>): string[] {
  const { name } = service!.metadata!
  const spec = service!.spec!
  const warnings: string[] = []
  if (spec.clusterIP === 'None') {
    warnings.push(
      `Service ${name} is headless: only clients that look its name up anew come here; names of its single pods (POD.${name}) are not known meanwhile`,
    )
    const moved = (spec.ports ?? []).filter(({ port, targetPort }) => targetPort !== undefined && targetPort !== port)
    if (moved.length > 0)
      warnings.push(
        `Service ${name} is headless: its clients use the pods' ports (${moved.map(({ targetPort }) => targetPort).join(', ')})`,
      )
  }
  if (spec.externalTrafficPolicy === 'Local')
    warnings.push(
      `Service ${name} has externalTrafficPolicy Local: from outside only the node of the shadow's pod answers, and load balancers notice that late`,
    )
  if (spec.internalTrafficPolicy === 'Local')
    warnings.push(
      `Service ${name} has internalTrafficPolicy Local: only pods on the node of the shadow's pod reach it meanwhile`,
    )
  if (spec.sessionAffinity === 'ClientIP')
    warnings.push(
      `Service ${name} has sessionAffinity ClientIP: what is not taken here reaches the original pods from one address, so one of them gets it all`,
    )
  return warnings
}

function keeperOf(metadata: V1ObjectMeta | undefined): string | undefined {
  const keys = Object.keys({ ...metadata?.annotations, ...metadata?.labels })
  return keepers.find(([, mark]) => keys.some((key) => mark.test(key)))?.[0]
}

async function autoscalerOf(
  { api, namespace }: InboundContext,
  { kind, object }: Workload,
): Promise<string | undefined> {
  const path = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`
  const { status, body } = await api.ask('GET', path)
  if (status !== 200) return undefined // no right to see them, which none of the rest needs
  const { items } = body as unknown as { items: Autoscaler[] }
  const fits = ({ spec }: Autoscaler) =>
    spec.scaleTargetRef.kind === kind && spec.scaleTargetRef.name === object.metadata!.name
  return items.find(fits)?.metadata.name
}
