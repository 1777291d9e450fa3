// The Job and the Secret of a shadow, as objects for the API server. Pure: names and keys come in.
import { createHash } from 'node:crypto'
import type { V1Container, V1Job, V1PodSpec, V1Secret } from '@kubernetes/client-node'
import type { ShadowKind, ShadowOptions } from './calls.ts'
import { ID_LABEL, MANAGED_LABELS } from './inbound/record.ts'
import type { Serving } from './inbound-calls.ts'

/** Port of the SSH server and the user to log in as. */
export const shadowLogin: Record<ShadowKind, { port: number; username: string }> = {
  agent: { port: 2222, username: 'kt' },
  sshd: { port: 22, username: 'root' },
}

export const CONTAINER = 'shadow'
const labels = {
  ...MANAGED_LABELS,
  'app.kubernetes.io/component': 'shadow',
}
export const OWNER_ANNOTATION = 'kt/owner'
/** The host key's public half, for those who find a shadow that somebody else made. */
export const HOST_KEY_ANNOTATION = 'kt/host-key'

/** The client's public key: a Job with it was made by the client that has this key. */
export const CLIENT_KEY_ANNOTATION = 'kt/client-key'

/** An sshd cannot see that its client is gone; the client keeps moving this ahead. */
export const SSHD_DEADLINE_S = 1800
/** The agent ends by itself when no client has been there for this long. */
const AGENT_IDLE_S = 600
/** Until its agent runs, nobody ends a Job whose client was killed: then this does. Taken away once it runs. */
const AGENT_START_DEADLINE_S = 900

// Every mesh that injects a sidecar has its own way to be told not to; some look at labels, some at annotations.
const noSidecarLabels = { 'sidecar.istio.io/inject': 'false', 'kuma.io/sidecar-injection': 'disabled' }
const noSidecarAnnotations = {
  'sidecar.istio.io/inject': 'false',
  'linkerd.io/inject': 'disabled',
  'kuma.io/sidecar-injection': 'disabled',
  'consul.hashicorp.com/connect-inject': 'false',
}

// Room for an idle agent: a Job with less is refused by quotas that demand requests, one with more by those that are full.
// The limits are what the agent needs when it is busy, so that a flood of connections ends its pod and not its node's other pods; a
// quota may demand that there are some. One processor, since the agent is one thread.
export const DEFAULT_RESOURCES = {
  requests: { cpu: '10m', memory: '64Mi' },
  limits: { cpu: '1', memory: '512Mi' },
}

// An agent that serves does so until the endpoints have moved, and then until its connections have ended: 20 s and 8 s at most
// (agent.ts). What kt removes itself gets less.
const SERVING_GRACE_S = 30
/** For a pod that nothing leads to any more. 0 would be by force, which takes some kubelets (1.34.4, cgroupsPerQOS off) down with it. */
export const REMOVAL_GRACE_S = 1

// An agent that serves comes back after a crash or an eviction, however often.
const SERVING_BACKOFF_LIMIT = 100_000

/** The Job, suspended: its pod comes when `suspend` is set to false. */
export function jobManifest(
  name: string,
  namespace: string,
  options: ShadowOptions,
  serving?: Serving,
  secret = name,
): V1Job {
  const id = serving && { [ID_LABEL]: serving.id }
  const common = { ...options.labels, ...labels, ...id, 'app.kubernetes.io/instance': name }
  const owner = { ...serving?.annotations, [OWNER_ANNOTATION]: options.owner }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace, labels: common, annotations: { ...options.annotations, ...owner } },
    spec: {
      suspend: true,
      backoffLimit: serving ? SERVING_BACKOFF_LIMIT : 0,
      completions: 1,
      parallelism: 1,
      ttlSecondsAfterFinished: 60,
      activeDeadlineSeconds: options.kind === 'sshd' ? SSHD_DEADLINE_S : AGENT_START_DEADLINE_S,
      template: {
        metadata: {
          labels: { ...common, ...serving?.podLabels, ...noSidecarLabels },
          annotations: { ...noSidecarAnnotations, ...options.annotations, ...owner },
        },
        spec: podSpec(secret, options, serving),
      },
    },
  }
}

function podSpec(secretName: string, options: ShadowOptions, serving?: Serving): V1PodSpec {
  const agent = options.kind === 'agent'
  return {
    restartPolicy: serving ? 'OnFailure' : 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: serving ? SERVING_GRACE_S : 1,
    ...(serving && { affinity: apart(serving.id) }),
    ...(options.serviceAccount && { serviceAccountName: options.serviceAccount }),
    ...(options.imagePullSecrets.length > 0 && {
      imagePullSecrets: options.imagePullSecrets.map((secret) => ({ name: secret })),
    }),
    ...(Object.keys(options.nodeSelector).length > 0 && { nodeSelector: options.nodeSelector }),
    ...(options.tolerations.length > 0 && { tolerations: options.tolerations }),
    securityContext: {
      ...(agent && {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        fsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      }),
      // All are "safe" sysctls, admitted by Pod Security "restricted".
      sysctls: [
        // Of 28,000 ports to one address all may be in TIME-WAIT after a minute of many short connections.
        { name: 'net.ipv4.ip_local_port_range', value: '1024 65535' },
        // Echo requests without a privilege (icmp(7)).
        { name: 'net.ipv4.ping_group_range', value: '0 2147483647' },
        ...(serving?.ports.some(({ port }) => port < 1024) ? [lowPorts] : []),
      ],
    },
    containers: [agent ? agentContainer(options, serving) : sshdContainer(options)],
    volumes: [{ name: 'kt', secret: { secretName, defaultMode: agent ? 0o440 : 0o400 } }],
  }
}

// Two shadows of one Service on one node would end with it.
function apart(id: string): V1PodSpec['affinity'] {
  const term = { labelSelector: { matchLabels: { [ID_LABEL]: id } }, topologyKey: 'kubernetes.io/hostname' }
  return {
    podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] },
  }
}

// Decides for IPv6 as well.
const lowPorts = { name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }

function agentContainer(options: ShadowOptions, serving?: Serving): V1Container {
  const port = serving?.sshPort ?? shadowLogin.agent.port
  const common = container(options, port, '/kt')
  // What ends soon after its client does not wait longer for one that vanished, unless the person wants that.
  const lineWaitS = options.lineWaitS ?? (serving?.idleSeconds || undefined)
  const named = serving?.named.map((each) => ({ name: each.name, containerPort: each.port, protocol: each.protocol }))
  return {
    ...common,
    ...(serving && {
      ports: [{ name: 'kt-ssh', containerPort: port, protocol: 'TCP' }, ...named!],
      // Not for the first: nothing is sent there before the client has found the ports listening, and a second of probing would be
      // most of the wait.
      ...(serving.probed && { readinessProbe: { tcpSocket: { port: serving.readyPort }, periodSeconds: 1 } }),
    }),
    command: ['node', '/kt/agent.cjs'],
    env: [
      { name: 'KT_AGENT_PORT', value: String(port) },
      { name: 'KT_AGENT_IDLE_S', value: String(serving?.idleSeconds ?? AGENT_IDLE_S) },
      ...(lineWaitS ? [{ name: 'KT_AGENT_LINE_S', value: String(lineWaitS) }] : []),
      ...(serving ? servingVariables(serving) : []),
      ...Object.entries(serving?.env ?? {}).map(([name, value]) => ({ name, value })),
    ],
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  }
}

function servingVariables({ ports, readyPort }: Serving) {
  return [
    { name: 'KT_AGENT_PORTS', value: JSON.stringify(ports) },
    { name: 'KT_AGENT_READY_PORT', value: String(readyPort) },
  ]
}

// What runs, and as whom, is the image's own business: an OpenSSH that starts as root.
function sshdContainer(options: ShadowOptions): V1Container {
  return container(options, shadowLogin.sshd.port, '/root/authorized')
}

function container(options: ShadowOptions, port: number, mountPath: string): V1Container {
  const given = Object.keys(options.resources).length > 0
  return {
    name: CONTAINER,
    image: options.image,
    imagePullPolicy: 'IfNotPresent',
    ports: [{ name: 'ssh', containerPort: port, protocol: 'TCP' }],
    resources: given ? { requests: options.resources, limits: options.resources } : DEFAULT_RESOURCES,
    volumeMounts: [{ name: 'kt', mountPath, readOnly: true }],
  }
}

/** Files of the Secret by name: the agent's program and keys, or the public key for sshd. */
export type ShadowFiles = Record<string, string | Buffer>

/**
 * Another one for each key, since the Job of a router has the same name again when it is made anew: a node that has a pod of the
 * former one does not look at an immutable Secret of the same name again.
 */
export function secretNameOf(job: string, hostKey: string | undefined): string {
  return hostKey === undefined ? job : `${job}-${createHash('sha256').update(hostKey).digest('hex').slice(0, 5)}`
}

/** The Secret, owned by the Job: it goes when the Job goes. */
export function secretManifest(job: V1Job, files: ShadowFiles): V1Secret {
  const { name, namespace, uid, labels: jobLabels, annotations } = job.metadata!
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: job.spec?.template.spec?.volumes?.[0].secret?.secretName ?? name,
      namespace,
      labels: jobLabels,
      annotations: { [OWNER_ANNOTATION]: annotations?.[OWNER_ANNOTATION] ?? '' },
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: name!, uid: uid! }],
    },
    type: 'Opaque',
    immutable: true,
    data: Object.fromEntries(
      Object.entries(files).map(([file, content]) => [
        file,
        (typeof content === 'string' ? Buffer.from(content) : content).toString('base64'),
      ]),
    ),
  }
}
