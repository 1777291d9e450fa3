// Values of the flags that say what the shadow's pod is to be like. What Kubernetes would refuse is refused here, in words.
import { InvalidArgumentError } from 'commander'
import type { ShadowConfig } from '../../control/config.ts'
import { keyValues } from './common.ts'

type Toleration = ShadowConfig['tolerations'][number]

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const
// k8s.io/apimachinery/pkg/util/validation: IsQualifiedName, IsValidLabelValue, IsDNS1123Subdomain.
const KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/
const VALUE = /^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/
const NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
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

/** `KEY=VALUE` of labels, for the shadow or of a node; repeatable. */
export function labels(text: string, before: Record<string, string> = {}): Record<string, string> {
  const all = annotations(text, before)
  for (const [key, value] of Object.entries(all))
    if (!VALUE.test(value))
      throw new InvalidArgumentError(
        `the value of ${key} is at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends, not ${JSON.stringify(value)}.`,
      )
  return all
}

/** `KEY=VALUE` with any value; repeatable. */
export function annotations(text: string, before: Record<string, string> = {}): Record<string, string> {
  const all = keyValues(text, before)
  for (const key of Object.keys(all))
    if (!KEY.test(key))
      throw new InvalidArgumentError(
        `a key is a name like tier or example.com/tier (at most 63 letters, digits, "-", "_" and "." after the slash), not ${JSON.stringify(key)}.`,
      )
  return all
}

/** The name of an object of the cluster. */
export function objectName(text: string): string {
  if (!NAME.test(text))
    throw new InvalidArgumentError(
      `expected a name of lower-case letters, digits, "-" and ".", not ${JSON.stringify(text)}.`,
    )
  return text
}

/** Repeatable. */
export function objectNames(text: string, before: string[] = []): string[] {
  return [...before, objectName(text)]
}

/** An image's name, whatever its registry makes of it. */
export function imageName(text: string): string {
  if (!/^[^\s\p{Cc}]+$/u.test(text))
    throw new InvalidArgumentError(`expected the name of an image, like node:24-alpine, not ${JSON.stringify(text)}.`)
  return text
}
