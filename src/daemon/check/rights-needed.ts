// The rights of docs/operate/rights.md as a list to ask for, and what an answer means. Pure.
import type { Right } from '../../cluster/rights.ts'
import type { CheckLine, CheckState } from '../../control/check.ts'

interface Needed extends Right {
  /** `needed`: `kt up` fails without it. */
  weight: 'needed' | 'better'
  /** What is so without it. */
  without: string
}

// Where kube-apiserver wants `create` for a WebSocket, too (feature AuthorizePodWebsocketUpgradeCreatePermission).
const CREATE_FOR_WEBSOCKET_MINOR = 35

/** All that is asked for, for a shadow in `namespace` of a cluster of this minor version. */
export function rightsNeeded(namespace: string, minor: number): Needed[] {
  const batch = (verb: string, weight: Needed['weight'], without: string): Needed => ({
    ...{ verb, group: 'batch', resource: 'jobs', namespace, weight, without },
  })
  const core = (verb: string, path: string, weight: Needed['weight'], without: string): Needed => {
    const [resource, subresource] = path.split('/')
    return { verb, group: '', resource, ...(subresource && { subresource }), namespace, weight, without }
  }
  const up = '`kt up` fails'
  return [
    batch('create', 'needed', up),
    batch('patch', 'needed', up),
    batch('delete', 'better', 'the Job stays until its agent has had no client for 10 minutes'),
    batch('get', 'better', 'a shadow of --shadow sshd ends after 30 minutes'),
    core('create', 'secrets', 'needed', up),
    core('get', 'pods', 'needed', up),
    core('list', 'pods', 'needed', up),
    core('watch', 'pods', 'needed', up),
    core('get', 'pods/portforward', 'needed', up),
    minor >= CREATE_FOR_WEBSOCKET_MINOR
      ? core('create', 'pods/portforward', 'needed', up)
      : core('create', 'pods/portforward', 'better', 'the port-forward is a WebSocket, which is slower up'),
    core('list', 'events', 'better', 'why a pod does not start is told late'),
    core('get', 'pods/log', 'better', 'a shadow that ended is told by its exit code only'),
    ...(['servicecidrs', 'nodes'] as const).map(
      (resource): Needed => ({
        ...{ verb: 'list', resource, weight: 'better' },
        group: resource === 'nodes' ? '' : 'networking.k8s.io',
        without: `the range of ${resource === 'nodes' ? 'pod' : 'service'} addresses is found another way, or guessed`,
      }),
    ),
  ]
}

/** `allowed` undefined: the API server did not say. */
export function judgeRight(needed: Needed, allowed: boolean | undefined): CheckLine {
  const { verb, resource, subresource, namespace, weight, without } = needed
  const what = [resource, subresource].filter(Boolean).join('/')
  const where = namespace ? `in ${namespace}` : 'in the cluster'
  const line = (state: CheckState, result: string, advice: string): CheckLine => ({
    group: 'rights',
    name: `${verb} ${what}`,
    ...{ state, result, advice },
  })
  if (allowed) return line('ok', `allowed ${where}`, '')
  if (allowed === undefined)
    return line('warning', `the API server does not say whether it is allowed ${where}`, `without it ${without}`)
  const ask = weight === 'needed' ? 'ask for this right: docs/operate/rights.md has a Role with all that kt needs' : ''
  return line(
    weight === 'needed' ? 'failed' : 'warning',
    `not allowed ${where}: ${without}`,
    ask || 'not needed; docs/operate/rights.md says what it makes better',
  )
}

/** Rights on one kind of object that the cluster's requests to this machine need. */
interface InboundRights {
  group: string
  resource: string
  verbs: string[]
  without: string
}

const backRights: InboundRights[] = [
  {
    ...{ group: '', resource: 'services', verbs: ['get', 'list', 'watch', 'create', 'patch', 'delete'] },
    without: '`kt exchange`, `kt mesh` and `kt run` do not work',
  },
  {
    ...{ group: 'coordination.k8s.io', resource: 'leases', verbs: ['get', 'list', 'create', 'patch', 'delete'] },
    without: '`kt exchange`, `kt mesh` and `kt run` do not work',
  },
  {
    ...{ group: 'discovery.k8s.io', resource: 'endpointslices', verbs: ['list', 'watch'] },
    without: 'an exchange waits a while instead of watching its requests move',
  },
  {
    ...{ group: 'apps', resource: 'deployments', verbs: ['get', 'list', 'patch'] },
    without: 'a Deployment cannot be named as a target, nor exchanged with --mode scale',
  },
]

/** For exchange, mesh and run, in the order that `judgeBackRights` wants the answers. */
export function rightsForBack(namespace: string): Right[] {
  return backRights.flatMap(({ group, resource, verbs }) => verbs.map((verb) => ({ verb, group, resource, namespace })))
}

/** A line for each kind of object: nobody needs these to connect, and they come and go together. */
export function judgeBackRights(namespace: string, allowed: readonly (boolean | undefined)[]): CheckLine[] {
  let at = 0
  return backRights.map(({ resource, verbs, without }) => {
    const answers = verbs.map((verb) => ({ verb, yes: allowed[at++] }))
    const name = `exchange: ${resource}`
    const refused = answers.filter(({ yes }) => yes === false).map(({ verb }) => verb)
    if (refused.length === 0) {
      const result = `${verbs.join(', ')}: allowed in ${namespace}`
      return { group: 'rights', name, state: 'ok', result, advice: '' }
    }
    const result = `${refused.join(', ')}: not allowed in ${namespace}: ${without}`
    const advice = 'not needed to connect; docs/operate/rights.md has the rules'
    return { group: 'rights', name, state: 'warning', result, advice }
  })
}
