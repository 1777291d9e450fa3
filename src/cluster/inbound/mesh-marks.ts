// What a meshed Service says of its routers, and who else meshes it: each has a lease with the mesh's id.
import type { V1Service } from '@kubernetes/client-node'
import { clusterError } from '../errors.ts'
import type { HeldLease } from '../inbound-calls.ts'
import { change, type Draft, type InboundContext, recordOf } from './context.ts'
import { held, listLeases } from './lease.ts'
import { type MergePatch, RECORD_ANNOTATION, readRecord, switchPatch } from './record.ts'
import { servicePath } from './resolve.ts'

/**
 * Says on the Service which router is its own, before that is made. False when the Service does not say any more what it said
 * when it was read. `joins`: it named this router then.
 */
export async function mark(context: InboundContext, draft: Draft, joins: boolean): Promise<boolean> {
  const { namespace } = context
  const name = draft.service!
  interface Marked {
    patch: MergePatch | undefined
    done: boolean
  }
  const marked = await change(
    context,
    servicePath(namespace, name),
    `marking the Service ${name}`,
    (service: V1Service): Marked => {
      const there = readRecord(service.metadata?.annotations)
      if (there && there.id !== draft.id) {
        if (there.kind !== 'mesh') throw held(there, name, namespace)
        return { patch: undefined, done: false }
      }
      if (there) return { patch: undefined, done: true }
      if (joins) return { patch: undefined, done: false }
      const { resourceVersion } = service.metadata!
      const annotations = { [RECORD_ANNOTATION]: JSON.stringify(recordOf(draft)) }
      return { patch: { metadata: { resourceVersion, annotations } }, done: true }
    },
  )
  if (!marked) throw clusterError('target-unknown', `the Service ${name} is not there any more`)
  return marked.done
}

/** For somebody who joined while the last one was putting the Service back. */
export async function leadAgain(context: InboundContext, handle: Draft): Promise<void> {
  const doing = `leading the Service ${handle.service} to the router`
  await change(context, servicePath(context.namespace, handle.service!), doing, (service: V1Service) => ({
    patch: readRecord(service.metadata?.annotations) ? undefined : switchPatch(service, recordOf(handle)),
  }))
}

/** Those who mesh the same Service. */
export async function othersOf({ api, namespace }: InboundContext, { id, lease }: Draft): Promise<HeldLease[]> {
  return (await listLeases(api, namespace)).filter((each) => each.id === id && each.lease !== lease.name)
}
