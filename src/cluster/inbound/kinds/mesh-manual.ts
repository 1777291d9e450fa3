// `kt mesh --mode manual`: a shadow among the Service's pods with a label of its own, for rules that somebody else's mesh goes by. Nothing
// of the Service changes.

import { clusterError } from '../../errors.ts'
import type { MeshRequest } from '../../inbound-calls.ts'
import { createShadow } from '../../shadow.ts'
import type { Draft } from '../context.ts'
import type { ClusterKind } from '../kind.ts'
import { deleteLease, held } from '../lease.ts'
import { draftOf, resolveMesh } from '../meshing.ts'
import { agentPorts } from '../ports.ts'
import { ID_LABEL, type Labels, readRecord } from '../record.ts'
import type { Found } from '../resolve.ts'
import { leaveEndpoints } from '../restore.ts'
import { servingOf } from '../serving.ts'
import { addOwn, removeOwn, replaceOwn, someShadow } from '../shadows.ts'
import { waitUntilLed, waitUntilReady } from '../switch.ts'
import { undoing } from '../undo.ts'
import { takeVersion } from '../version-lease.ts'

/** The shadow ends this long after its client has gone, since nobody else would take its share of the requests. */
const IDLE_S = 60
const LONGEST_LABEL = 63

export const meshManual: ClusterKind<MeshRequest> = {
  async begin(context, request, options, progress, hooks) {
    const { namespace } = context
    const { found, plan } = await resolveMesh(context, request)
    const name = found.service!.metadata!.name!
    const known = readRecord(found.service!.metadata?.annotations)
    if (known) throw held(known, name, namespace)
    const id = context.suffix()
    const selector = found.service!.spec!.selector!
    const value = request.value ?? `${name.slice(0, LONGEST_LABEL - 9)}-kt-${id}`
    if (selector[request.header] !== undefined && selector[request.header] !== value)
      throw clusterError(
        'target-unfit',
        `Service ${name} selects by the label ${request.header} itself, so a pod with another one gets no requests`,
        'use another label: --version-mark LABEL:VALUE, or --mode auto',
      )
    const lease = await takeVersion(context, { ...request, value }, name, id, progress)
    return await undoing(async (undo) => {
      undo.push(() => deleteLease(context, lease.name, request.holder))
      const draft: Draft = {
        ...draftOf(context, request, value, found, plan, options, id, lease),
        mode: 'run',
        selector: {},
        written: {},
        ports: plan.ports.filter(({ exposed }) => exposed),
        original: undefined,
        warnings: plan.warnings,
      }
      const serving = servingOf(draft, plan, {
        ports: agentPorts({ ...plan, ports: draft.ports }, undefined, false),
        podLabels: { ...podLabelsOf(found), ...selector, [request.header]: value },
        idleSeconds: IDLE_S,
      })
      const shadow = await createShadow(context, options, progress, hooks, serving)
      return { ...draft, serving, shadow }
    })
  },

  async switch(context, handle, progress) {
    await waitUntilReady(context, handle, progress)
    await waitUntilLed(context, handle, someShadow(handle), progress)
  },

  async restore(context, handle) {
    const kept: string[] = []
    await leaveEndpoints(context, handle.service!, handle.id, kept)
    return { restored: [], kept }
  },

  remove: removeOwn,
  add: addOwn,
  replace: replaceOwn,
}

// Labels that only one pod or one revision has.
const OF_ONE =
  /^(pod-template-hash|controller-revision-hash|apps\.kubernetes\.io\/pod-index|statefulset\.kubernetes\.io\/.*)$/

function podLabelsOf({ pods }: Found): Labels {
  const labels = pods.find(({ metadata }) => metadata?.labels?.[ID_LABEL] === undefined)?.metadata?.labels ?? {}
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !OF_ONE.test(key)))
}
