// What the tunnel says of "the shadow" as a command that works as printed: which pod it is, is known here.
import { ToldError } from '../base/told-error.ts'
import type { ShadowHandle } from '../cluster/calls.ts'

/** Names the pod in the hint of `error`, which it returns. */
export function withPod<T>(error: T, { namespace, pod, port }: ShadowHandle): T {
  if (!(error instanceof ToldError)) return error
  const hint = error.hint
    .replace('`kubectl get pods`', `\`kubectl -n ${namespace} get pod ${pod}\``)
    .replace('`kubectl logs` of the shadow', `\`kubectl -n ${namespace} logs ${pod}\``)
    .replace(
      'kubectl port-forward to the shadow pod works',
      `\`kubectl -n ${namespace} port-forward ${pod} :${port}\` works`,
    )
  return Object.assign(error, { hint })
}
