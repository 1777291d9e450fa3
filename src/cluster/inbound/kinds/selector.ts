// `kt exchange --mode selector`: the Service's selector leads to the shadows, and a second Service keeps the old one.
import type { V1Service } from '@kubernetes/client-node'
import type { ExchangeRequest, InboundHandle } from '../../inbound-calls.ts'
import { deleteOwn, readService, recordOf } from '../context.ts'
import { secondName } from '../derived.ts'
import { beginWith, type ExchangeMode } from '../exchanging.ts'
import type { ClusterKind } from '../kind.ts'
import { leadsToShadow, readRecord, writtenSelector } from '../record.ts'
import { servicePath } from '../resolve.ts'
import { restoreService } from '../restore.ts'
import { makeSecond } from '../second.ts'
import { addOwn, onlyShadows, removeOwn, replaceOwn } from '../shadows.ts'
import { leadService, waitUntilLed, waitUntilReady } from '../switch.ts'

const mode: ExchangeMode = {
  look: () => [],
  draft(found, plan, id, known) {
    const service = found.service!
    const selector = known?.selector ?? service.spec!.selector!
    return {
      workload: undefined,
      selector,
      written: writtenSelector(selector, id),
      ports: plan.ports,
      original: { name: secondName(service.metadata!.name!, id) },
    }
  },
  async prepare(context, found, draft, undo) {
    const second = await makeSecond(context, found.service!, recordOf(draft))
    const path = servicePath(context.namespace, second.name)
    undo.unshift(() => deleteOwn(context, path, draft.id, `Service ${second.name}`))
    return { podLabels: draft.written, originalHost: second.address }
  },
  heldHint: 'ask them to leave it, or name what they exchanged, with --force',
}

export const selector: ClusterKind<ExchangeRequest> = {
  begin: (...args) => beginWith(mode, ...args),

  async switch(context, handle, progress) {
    await waitUntilReady(context, handle, progress)
    await leadService(context, handle)
    await waitUntilLed(context, handle, onlyShadows(handle), progress)
  },

  restore: (context, handle, progress) => restoreService(context, handle.service!, recordOf(handle), progress),

  /** Restores first where that was not done: what leads to the shadow must not outlive it. */
  async remove(context, handle) {
    const service = await readService(context, handle.service!)
    if (service && needsRestore(service, handle)) await selector.restore(context, handle, () => {})
    await removeOwn(context, handle)
  },

  add: addOwn,
  replace: replaceOwn,
}

function needsRestore(service: V1Service, handle: InboundHandle): boolean {
  return leadsToShadow(service, handle) || readRecord(service.metadata?.annotations)?.id === handle.id
}
