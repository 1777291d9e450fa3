// A shadow on a real cluster for bench/tunnel.ts and the cluster tests, by kubectl alone: what src/cluster does better.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { generateSshKeyPair } from '../src/cluster/ssh-key.ts'
import {
  type ConnectedTunnel,
  connectTunnel,
  openPortForward,
  pathTransport,
  TunnelError,
} from '../src/tunnel/index.ts'

// KUBECTL may be several words: a wrapper and its arguments.
const [kubectlCommand, ...kubectlArguments] = (process.env.KUBECTL ?? 'kubectl').split(' ')

export function kubectl(args: string[], input?: string): string {
  return execFileSync(kubectlCommand, [...kubectlArguments, ...args], {
    input,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

export interface ClusterShadow {
  kind: 'agent' | 'sshd'
  endpoint: {
    url: string
    headers: Record<string, string>
    tls: { ca?: string; cert?: string; key?: string; rejectUnauthorized: boolean }
  }
  username: string
  clientKey: string
  hostKey: string | undefined
  pod: string
  remove(): void
}

const base64 = (text: string | undefined) => text && Buffer.from(text, 'base64').toString()

interface KubeconfigView {
  clusters: { cluster: { server: string; 'certificate-authority-data'?: string; 'certificate-authority'?: string } }[]
  users: {
    user: {
      'client-certificate-data'?: string
      'client-key-data'?: string
      'client-certificate'?: string
      'client-key'?: string
      token?: string
    }
  }[]
}

export function access(): { server: string; headers: Record<string, string>; tls: ClusterShadow['endpoint']['tls'] } {
  const view = JSON.parse(kubectl(['config', 'view', '--raw', '--minify', '-o', 'json'])) as KubeconfigView
  const { cluster } = view.clusters[0]
  const { user } = view.users[0]
  const file = (path: string | undefined) => (path ? readFileSync(path, 'utf8') : undefined)
  return {
    server: cluster.server,
    headers: user.token ? { Authorization: `Bearer ${user.token}` } : {},
    tls: {
      ca: base64(cluster['certificate-authority-data']) ?? file(cluster['certificate-authority']),
      cert: base64(user['client-certificate-data']) ?? file(user['client-certificate']),
      key: base64(user['client-key-data']) ?? file(user['client-key']),
      rejectUnauthorized: true,
    },
  }
}

/** Makes pod and Secret `name` in `namespace` and waits until it is ready. `image` for another one with the agent in it, `env` for the agent. */
export function createClusterShadow(
  kind: 'agent' | 'sshd',
  namespace: string,
  name: string,
  options: { image?: string; node?: string; env?: Record<string, string> } = {},
): ClusterShadow {
  const host = generateSshKeyPair('host')
  const client = generateSshKeyPair('client')
  const agentFile = 'dist/agent.cjs'
  if (kind === 'agent' && !existsSync(agentFile)) throw new Error(`${agentFile} is missing: ./dev build`)
  const secret =
    kind === 'agent'
      ? {
          'agent.cjs': readFileSync(agentFile).toString('base64'),
          host_key: Buffer.from(host.privateKey).toString('base64'),
          authorized: Buffer.from(client.publicLine).toString('base64'),
        }
      : { authorized: Buffer.from(`${client.publicLine}\n`).toString('base64') }
  const container =
    kind === 'agent'
      ? {
          name: 'shadow',
          image: options.image ?? 'node:24-alpine',
          ...(options.image ? {} : { command: ['node', '/kt/agent.cjs'] }),
          env: Object.entries(options.env ?? {}).map(([name, value]) => ({ name, value })),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
          volumeMounts: [{ name: 'kt', mountPath: '/kt', readOnly: true }],
        }
      : {
          name: 'shadow',
          image: options.image ?? 'localhost/sshd-shadow:1',
          volumeMounts: [{ name: 'kt', mountPath: '/root/authorized', readOnly: true }],
        }
  const list = {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data: secret },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 1,
          ...(options.node ? { nodeName: options.node } : {}),
          // For kt-ping; a safe sysctl, which Pod Security "restricted" admits.
          ...(kind === 'agent' && options.image
            ? { securityContext: { sysctls: [{ name: 'net.ipv4.ping_group_range', value: '0 2147483647' }] } }
            : {}),
          containers: [container],
          volumes: [{ name: 'kt', secret: { secretName: name, defaultMode: 0o444 } }],
        },
      },
    ],
  }
  const remove = () => {
    kubectl(['delete', '-n', namespace, '--ignore-not-found', '--wait=false', `pod/${name}`, `secret/${name}`])
  }
  try {
    // Not apply: it would put the whole Secret into an annotation.
    kubectl(['create', '-f', '-'], JSON.stringify(list))
    kubectl(['wait', '-n', namespace, '--for=condition=Ready', '--timeout=30s', `pod/${name}`])
  } catch (error) {
    remove()
    throw error
  }
  const { server, headers, tls } = access()
  const port = kind === 'agent' ? 2222 : 22
  return {
    endpoint: {
      url: `${server.replace(/^http/, 'ws')}/api/v1/namespaces/${namespace}/pods/${name}/portforward?ports=${port}`,
      headers,
      tls,
    },
    username: kind === 'agent' ? 'kt' : 'root',
    clientKey: client.privateKey,
    hostKey: kind === 'agent' ? host.publicKey : undefined,
    kind,
    pod: name,
    remove,
  }
}

/** A tunnel to the shadow, as soon as its server listens. */
export async function tunnelTo(shadow: ClusterShadow): Promise<ConnectedTunnel> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await connectTunnel({ ...shadow, transport: pathTransport(await openPortForward(shadow.endpoint)) })
    } catch (error) {
      if (!(error instanceof TunnelError) || error.code !== 'unreachable' || attempt > 50) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
