// Values of the flags that say what the shadow's pod is to be like. What Kubernetes would refuse is refused here, in words.
import { InvalidArgumentError } from 'commander'
import type { ShadowConfig } from '../../control/protocol.ts'
import { keyValues } from './common.ts'

type Toleration = ShadowConfig['tolerations'][number]

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const
// k8s.io/apimachinery/pkg/util/validation: IsQualifiedName, IsValidLabelValue.
const KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/
const VALUE = /^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/
// k8s.io/apimachinery/pkg/api/resource: without a sign, since less than nothing cannot be asked for.
const AMOUNT = /^(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/

/** `KEY[=VALUE][:EFFECT]`, as `kubectl taint` names taints; repeatable. */
export function tolerations(text: string, before: Toleration[] = []): Toleration[] {
  const [, key = '', value, effect] = /^([^=:]*)(?:=([^:]*))?(?::(.*))?$/.exec(text) ?? []
  if (!KEY.test(key) || !VALUE.test(value ?? ''))
    throw new InvalidArgumentError(
      `expected KEY[=VALUE][:EFFECT], like dedicated=gpu:NoSchedule, not ${JSON.stringify(text)}.`,
    )
  const known = EFFECTS.find((one) => one === effect)
  if (effect !== undefined && !known)
    throw new InvalidArgumentError(
      `expected one of ${EFFECTS.join(', ')} after the colon, not ${JSON.stringify(effect)}.`,
    )
  const one: Toleration = {
    key,
    ...(value === undefined ? { operator: 'Exists' } : { operator: 'Equal', value }),
    ...(known && { effect: known }),
  }
  return [...before, one]
}

/** `cpu=100m,memory=64Mi` */
export function amounts(text: string, before: Record<string, string> = {}): Record<string, string> {
  const all = keyValues(text, before)
  for (const [what, amount] of Object.entries(all))
    if (!AMOUNT.test(amount))
      throw new InvalidArgumentError(
        `${what} is an amount like ${what === 'cpu' ? '100m or 0.5' : '64Mi or 1Gi'}, not ${JSON.stringify(amount)}.`,
      )
  return all
}
