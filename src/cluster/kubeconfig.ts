// Picks the context of a kubeconfig and reads the three entries it is about, as kubectl does: nothing else in the files
// has to be good.

import { ClusterError, type ClusterIdentity, type ClusterSelection } from './calls.ts'
import { type Cluster, readCluster, readUser, type User } from './kubeconfig-entry.ts'
import { type Environment, type RawEntry, type RawKubeconfig, readKubeconfig, textOf } from './kubeconfig-file.ts'
import { checkedProxy, proxyFromEnvironment } from './proxy.ts'

export type { Environment }

/** The chosen context. */
export interface Kubeconfig {
  identity: Omit<ClusterIdentity, 'serverAddresses'>
  cluster: Cluster
  user: User
  /** URL of the proxy to the API server, if there is one. */
  proxy: string | undefined
  /** Namespaces that contexts name for this cluster. */
  namespaces: string[]
  /** What credential plugins are started with. */
  env: Environment
}

/** Reads the files and picks the context. Throws ClusterError kubeconfig-missing, kubeconfig-invalid, context-unknown. */
export function loadKubeconfig(selection: ClusterSelection, env: Environment): Kubeconfig {
  const raw = readKubeconfig(selection, env)
  const context = chosenContext(raw, selection.context)
  const { name } = context
  const from = raw.files.join(', ')
  const invalid = (what: string) =>
    new ClusterError('kubeconfig-invalid', `context ${JSON.stringify(name)} in ${from}: ${what}`, 'mend the kubeconfig')

  const clusterName = textOf(context.body['cluster'])
  const rawCluster = raw.clusters.find((each) => each.name === clusterName)
  if (!rawCluster)
    throw invalid(clusterName ? `its cluster ${JSON.stringify(clusterName)} is not there` : 'it names no cluster')
  const userName = textOf(context.body['user'])
  const rawUser = raw.users.find((each) => each.name === userName)
  // Without a user one is nobody in particular, which some API servers (`kubectl proxy`) take.
  if (!rawUser && userName) throw invalid(`its user ${JSON.stringify(userName)} is not there`)
  const user = readUser(rawUser ?? { name: '', body: {}, file: context.file })
  const cluster = readCluster(rawCluster, user.cert !== undefined)

  const contextNamespace = textOf(context.body['namespace'])
  const { connected } = selection
  const here = connected && connected.context === name && connected.server === cluster.server ? connected : undefined
  const namespace = selection.namespace || here?.namespace || contextNamespace || 'default'
  // RFC 1123 2.1; it becomes a part of a path.
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace))
    throw new ClusterError(
      'namespace-missing',
      `${JSON.stringify(namespace)} cannot be a namespace`,
      'expected small letters, digits and dashes, 63 at most',
    )
  return {
    identity: {
      context: name,
      cluster: cluster.name,
      user: user.name,
      namespace,
      server: cluster.server,
    },
    cluster,
    user,
    proxy: proxyOf(cluster, env),
    namespaces: [
      ...new Set(
        raw.contexts
          .filter((each) => textOf(each.body['cluster']) === cluster.name)
          .map((each) => textOf(each.body['namespace']))
          .filter((namespace) => namespace !== ''),
      ),
    ],
    env,
  }
}

/** Names of the contexts there are. Throws ClusterError as loadKubeconfig does. */
export function contextNames(selection: ClusterSelection, env: Environment): string[] {
  return named(readKubeconfig(selection, env))
}

function chosenContext(raw: RawKubeconfig, wanted: string | undefined): RawEntry {
  const from = raw.files.join(', ')
  const name = wanted || raw.currentContext
  const names = named(raw)
  const choose = names.length > 0 ? `contexts there: ${names.join(', ')}` : `${from} has no contexts`
  if (!name) throw new ClusterError('context-unknown', `${from} has no current-context`, `use --context; ${choose}`)
  const context = raw.contexts.find((each) => each.name === name)
  if (context) return context
  throw new ClusterError('context-unknown', `there is no context ${JSON.stringify(name)} in ${from}`, choose)
}

function named({ contexts }: RawKubeconfig): string[] {
  return contexts.map(({ name }) => name).filter((name) => name !== '')
}

function proxyOf({ proxyUrl, server, where }: Cluster, env: Environment): string | undefined {
  if (proxyUrl) return checkedProxy(proxyUrl, `${where}: its proxy-url`, 'mend the kubeconfig')
  const fromEnvironment = proxyFromEnvironment(server, env)
  if (!fromEnvironment) return undefined
  return checkedProxy(
    fromEnvironment,
    'the proxy of HTTPS_PROXY or HTTP_PROXY',
    'mend it, or add the server to NO_PROXY',
  )
}
