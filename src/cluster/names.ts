// Names of what there is, for completion: quick, in this process, and with nothing but what this user may list.
import { Api } from './api.ts'
import type { ClusterSelection } from './calls.ts'
import { contextNames, type Environment, loadKubeconfig } from './kubeconfig.ts'

export type NameKind = 'contexts' | 'namespaces' | 'services' | 'deployments' | 'statefulsets' | 'pods'

// More than anybody reads on a terminal.
const MOST = '500'

/** Throws ClusterError. Namespaces that may not be listed are those that contexts name, as for `kt up`. */
export async function listNames(kind: NameKind, selection: ClusterSelection, env: Environment): Promise<string[]> {
  // A context that is not there must not keep the others from being named.
  const { context: _, ...rest } = selection
  if (kind === 'contexts') return contextNames(rest, env)
  const api = new Api(() => loadKubeconfig(selection, env))
  try {
    const { namespace } = api.kubeconfig.identity
    const path = {
      namespaces: '/api/v1/namespaces',
      services: `/api/v1/namespaces/${namespace}/services`,
      pods: `/api/v1/namespaces/${namespace}/pods`,
      deployments: `/apis/apps/v1/namespaces/${namespace}/deployments`,
      statefulsets: `/apis/apps/v1/namespaces/${namespace}/statefulsets`,
    }[kind]
    const { status, body } = await api.ask('GET', path, { query: { limit: MOST } })
    if (status !== 200) return kind === 'namespaces' ? api.kubeconfig.namespaces : []
    return (body as unknown as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name)
  } finally {
    api.close()
  }
}
