// `kt exchange --mode scale`: the shadows have the labels of the workload's pods, which are scaled to 0.

import { clusterError } from '../../errors.ts'
import type { ExchangeRequest } from '../../inbound-calls.ts'
import { recordOf } from '../context.ts'
import { beginWith, type ExchangeMode } from '../exchanging.ts'
import type { ClusterKind } from '../kind.ts'
import { unservedPorts } from '../ports.ts'
import { restoreWorkload } from '../restore.ts'
import { addOwn, onlyShadows, removeOwn, replaceOwn } from '../shadows.ts'
import { scaleDown, waitUntilLed, waitUntilReady } from '../switch.ts'

const mode: ExchangeMode = {
  look({ services, pods, target }, plan, { force }) {
    const unserved = unservedPorts(services, pods, plan)
    if (unserved.length > 0 && !force) throw leftWithoutPods(unserved, target)
    return unserved.map((ports) => `nobody serves port ${ports} meanwhile: the pods are scaled to 0`)
  },
  draft({ workload }, plan, _id, known) {
    const { kind, object } = workload!
    const replicas = known?.replicas ?? object.spec?.replicas ?? 1
    return {
      workload: { kind, name: object.metadata!.name!, replicas },
      selector: {},
      written: {},
      ports: plan.ports.filter(({ exposed }) => exposed),
      original: undefined,
    }
  },
  async prepare(_context, { workload }) {
    return { podLabels: workload!.object.spec!.template.metadata?.labels ?? {}, originalHost: undefined }
  },
  heldHint: 'ask them to leave it',
}

export const scale: ClusterKind<ExchangeRequest> = {
  begin: (...args) => beginWith(mode, ...args),

  async switch(context, handle, progress) {
    await waitUntilReady(context, handle, progress)
    await scaleDown(context, handle, progress)
    await waitUntilLed(context, handle, onlyShadows(handle), progress)
  },

  restore: (context, handle, progress) =>
    restoreWorkload(context, handle.workload!, handle.service, recordOf(handle), progress),

  /** Restores first, always: what leads to the shadow must not outlive it. */
  async remove(context, handle) {
    await scale.restore(context, handle, () => {})
    await removeOwn(context, handle)
  },

  add: addOwn,
  replace: replaceOwn,
}

function leftWithoutPods(unserved: string[], target: string) {
  const one = unserved.length === 1 && !/, | and /.test(unserved[0])
  return clusterError(
    'target-unfit',
    `with --mode scale nobody would serve ${one ? 'port' : 'ports'} ${unserved.join(', ')}: the pods of ${target} are scaled to 0`,
    `expose ${one ? 'it' : 'them'} as well, use --mode selector, or accept it with --force`,
  )
}
