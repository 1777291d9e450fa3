// Finds and reads kubeconfigs as kubectl does, and says what is wrong with them. @kubernetes/client-node reads one file;
// which files, how several are merged (the first one wins), and the environment's proxy are decided here.
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import { ClusterError, type ClusterIdentity, type ClusterSelection } from './port.ts'
import { proxyFromEnvironment } from './proxy.ts'

export type Environment = Record<string, string | undefined>

/** The chosen context. `config` has it as its current one. */
export interface Kubeconfig {
  config: KubeConfig
  identity: Omit<ClusterIdentity, 'serverAddresses'>
  /** URL of the proxy to the API server, if there is one. */
  proxy: string | undefined
  /** Namespaces that contexts name for this cluster. */
  namespaces: string[]
}

/** Reads the files and picks the context. Throws ClusterError kubeconfig-missing, kubeconfig-invalid, context-unknown. */
export function loadKubeconfig(selection: ClusterSelection, env: Environment): Kubeconfig {
  const files = kubeconfigFiles(selection, env)
  const config = new KubeConfig()
  for (const file of files) addMissing(config, readFile(file))
  const from = files.join(', ')
  const name = selection.context ?? config.currentContext
  const names = config.contexts.map((context) => context.name)
  const choose = names.length > 0 ? `contexts there: ${names.join(', ')}` : `${from} has no contexts`
  if (!name) throw new ClusterError('context-unknown', `${from} has no current-context`, `use --context; ${choose}`)
  const context = config.contexts.find((each) => each.name === name)
  if (!context)
    throw new ClusterError('context-unknown', `there is no context ${JSON.stringify(name)} in ${from}`, choose)
  config.setCurrentContext(name)

  const invalid = (what: string) =>
    new ClusterError('kubeconfig-invalid', `context ${JSON.stringify(name)} in ${from}: ${what}`, 'mend the kubeconfig')
  const cluster = config.clusters.find((each) => each.name === context.cluster)
  if (!cluster) throw invalid(`its cluster ${JSON.stringify(context.cluster)} is not there`)
  if (!URL.canParse(cluster.server) || !/^https?:/.test(cluster.server))
    throw invalid(`its server ${JSON.stringify(cluster.server)} is no http(s) URL`)
  const user = config.users.find((each) => each.name === context.user)
  if (!user) throw invalid(`its user ${JSON.stringify(context.user ?? '')} is not there`)

  const proxy = cluster.proxyUrl ?? proxyFromEnvironment(cluster.server, env)
  // client-node refuses plain http unless TLS checks are off, which mean nothing there: kubectl takes such a server.
  const plain = cluster.server.startsWith('http:')
  config.clusters = [{ ...cluster, proxyUrl: proxy, skipTLSVerify: cluster.skipTLSVerify || plain }]
  tellPlugin(user.exec, cluster)
  return {
    config,
    identity: {
      context: name,
      cluster: cluster.name,
      user: user.name,
      namespace: selection.namespace ?? context.namespace ?? 'default',
      server: cluster.server,
    },
    proxy,
    namespaces: [
      ...new Set(config.contexts.filter((c) => c.cluster === cluster.name).flatMap((c) => c.namespace ?? [])),
    ],
  }
}

function kubeconfigFiles(selection: ClusterSelection, env: Environment): string[] {
  const hint = 'use --kubeconfig FILE, or set KUBECONFIG'
  if (selection.kubeconfig) {
    if (existsSync(selection.kubeconfig)) return [selection.kubeconfig]
    throw new ClusterError('kubeconfig-missing', `there is no kubeconfig ${selection.kubeconfig}`, hint)
  }
  if (env['KUBECONFIG']) {
    // kubectl passes over files that are not there, as long as one is.
    const files = env['KUBECONFIG'].split(delimiter).filter((file) => file !== '')
    const found = files.filter((file) => existsSync(file))
    if (found.length > 0) return found
    throw new ClusterError('kubeconfig-missing', `KUBECONFIG names no file that is there: ${files.join(', ')}`, hint)
  }
  const file = join(env['HOME'] ?? '', '.kube', 'config')
  if (existsSync(file)) return [file]
  throw new ClusterError('kubeconfig-missing', `there is no kubeconfig: KUBECONFIG is not set and no ${file}`, hint)
}

function readFile(file: string): KubeConfig {
  const config = new KubeConfig()
  const invalid = (what: string) =>
    new ClusterError('kubeconfig-invalid', `${file}: ${what}`, 'mend it; `kubectl config view` reads the same file')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw invalid(`cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  if (text.trim() === '')
    throw new ClusterError('kubeconfig-missing', `${file} is empty`, 'use --kubeconfig FILE, or set KUBECONFIG')
  try {
    config.loadFromString(text)
    config.makePathsAbsolute(dirname(file))
  } catch (error) {
    const { mark, reason, message, code, path } = error as YamlError
    if (mark) throw new ClusterError('kubeconfig-invalid', `${file}:${mark.line + 1}: ${reason}`, 'mend this line')
    throw invalid(code === 'ENOENT' ? `names the file ${path}, which is not there` : message.split('\n')[0])
  }
  // As kubectl: a command with a slash is relative to the kubeconfig, one without is looked up in PATH.
  for (const { exec } of config.users)
    if (exec?.command?.includes('/') && !isAbsolute(exec.command)) exec.command = join(dirname(file), exec.command)
  return config
}

interface YamlError extends Error {
  mark?: { line: number }
  reason?: string
  code?: string
  path?: string
}

// "The first file to set a particular value or map key wins": kubernetes.io, Organizing Cluster Access.
function addMissing(config: KubeConfig, more: KubeConfig): void {
  const add = <T extends { name: string }>(have: T[], others: T[]) =>
    others.filter((other) => !have.some(({ name }) => name === other.name))
  config.currentContext ||= more.currentContext
  config.contexts = [...config.contexts, ...add(config.contexts, more.contexts)]
  config.clusters = [...config.clusters, ...add(config.clusters, more.clusters)]
  config.users = [...config.users, ...add(config.users, more.users)]
}

interface ExecPlugin {
  apiVersion?: string
  provideClusterInfo?: boolean
  env?: { name: string; value: string }[]
}

// KUBERNETES_EXEC_INFO, which client-node does not set: plugins read from it which API version to answer in.
function tellPlugin(
  exec: ExecPlugin | undefined,
  cluster: { server: string; caData?: string; tlsServerName?: string },
): void {
  if (!exec) return
  const info = {
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo && {
        cluster: {
          server: cluster.server,
          'certificate-authority-data': cluster.caData,
          'tls-server-name': cluster.tlsServerName,
        },
      }),
    },
  }
  exec.env = [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }]
}
