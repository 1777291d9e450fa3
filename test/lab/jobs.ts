// The controllers and the kubelet of the API-server double: a Job that is not suspended gets a pod, a pod gets a node
// and, when its image and its Secrets are there, a process; what is deleted ends, with all it owns.
import type { ChildProcess } from 'node:child_process'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { podResolvConf } from './api-resources.ts'
import type { Faults } from './faults.ts'
import { startContainer } from './pod-process.ts'
import type { Change, KubeObject, ObjectStore } from './store.ts'
import { nodeName } from './topology.ts'

/** Images the node has; all others fail to be pulled, as with no registry in reach. */
const knownImage = /^(docker\.io\/library\/)?node:\d+(\.\d+)*(-alpine|-slim)?$/

interface RunningPod {
  child: ChildProcess
  log: string
  /** Real port on loopback of each port the pod believes to have: pods share one loopback here. */
  ports: Map<number, number>
}

export class Kubelet {
  readonly #store: ObjectStore
  readonly #faults: Faults
  readonly #directory: string
  readonly #running = new Map<string, RunningPod>()
  readonly #logs = new Map<string, string>()
  #nextPort = 20_000
  #nextHost = 2

  constructor(store: ObjectStore, faults: Faults, directory: string) {
    this.#store = store
    this.#faults = faults
    this.#directory = directory
    store.subscribe((change) => setImmediate(() => this.#react(change)))
  }

  /** Where on loopback the port of a pod really is; undefined when the pod does not run. */
  port(pod: string, port: number): number | undefined {
    const running = this.#running.get(pod)
    return running && (running.ports.get(port) ?? port)
  }

  log(pod: string): string {
    return this.#running.get(pod)?.log ?? this.#logs.get(pod) ?? ''
  }

  /** As if the node had ended the container: SIGKILL. */
  kill(pod: string): void {
    this.#running.get(pod)?.child.kill('SIGKILL')
  }

  killAll(): void {
    for (const { child } of this.#running.values()) child.kill('SIGKILL')
  }

  #react({ type, resource, object }: Change): void {
    if (type === 'DELETED') this.#collect(object)
    else if (resource === 'jobs' && !object.spec?.suspend && !object.status?.started) this.#startJob(object)
    else if (resource === 'secrets') for (const pod of this.#waiting()) this.#startPod(pod)
  }

  #waiting(): KubeObject[] {
    return this.#store.list({ resource: 'pods' }).filter((pod) => pod.status?.waitsForVolumes === true)
  }

  /** Garbage collection: what names the deleted object as its owner goes, too. */
  #collect(owner: KubeObject): void {
    for (const resource of ['pods', 'secrets', 'configmaps', 'jobs', 'services'])
      for (const object of this.#store.list({ resource }))
        if (object.metadata.ownerReferences?.some((reference) => reference.uid === owner.metadata.uid)) {
          if (resource === 'pods') this.deletePod(object, 0)
          else this.#store.remove(resource, object.metadata.namespace, object.metadata.name)
        }
  }

  #startJob(job: KubeObject): void {
    const current = this.#store.get('jobs', job.metadata.namespace, job.metadata.name)
    if (!current || current.status?.started) return
    this.#store.replace('jobs', { ...current, status: { ...current.status, started: true, active: 1 } })
    if (this.#faults.refusePods !== undefined)
      this.event(current, 'Job', 'Warning', 'FailedCreate', `Error creating: ${this.#faults.refusePods}`)
    else this.#createPod(current)
  }

  #createPod(current: KubeObject): void {
    const { name, namespace, uid } = current.metadata
    const template = current.spec.template
    const host = this.#nextHost++
    const addresses = [`10.111.3.${host}`, `fd00:111::3:${host.toString(16)}`]
    const pod = this.#store.create('pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: '',
        generateName: `${name}-`,
        namespace,
        labels: { ...template.metadata?.labels, 'job-name': name, 'batch.kubernetes.io/job-name': name },
        annotations: template.metadata?.annotations,
        ownerReferences: [
          { apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true } as unknown as { uid: string },
        ],
      },
      spec: template.spec,
      status: { phase: 'Pending', podIPs: addresses.map((ip) => ({ ip })), podIP: addresses[0] },
    })!
    this.event(current, 'Job', 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`)
    this.#schedule(pod)
  }

  #schedule(pod: KubeObject): void {
    const node = this.#store.get('nodes', undefined, nodeName)!
    const selector = Object.entries((pod.spec.nodeSelector ?? {}) as Record<string, string>)
    const fits = selector.every(([label, value]) => node.metadata.labels?.[label] === value)
    const message =
      this.#faults.unschedulable ??
      (fits ? undefined : "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")
    const condition = { type: 'PodScheduled', status: message ? 'False' : 'True' }
    if (message) {
      this.#status(pod, { conditions: [{ ...condition, reason: 'Unschedulable', message }] })
      this.event(pod, 'Pod', 'Warning', 'FailedScheduling', message)
      return
    }
    const scheduled = { ...pod, spec: { ...pod.spec, nodeName } }
    this.#startPod(this.#status(scheduled, { conditions: [condition], phase: 'Pending' }))
  }

  #startPod(pod: KubeObject): void {
    const container = pod.spec.containers[0]
    const waiting = (reason: string, message: string) => [
      { name: container.name, image: container.image, ready: false, state: { waiting: { reason, message } } },
    ]
    const secrets = this.#secrets(pod)
    if (!secrets) {
      const containerStatuses = waiting('ContainerCreating', '')
      this.#status(pod, { waitsForVolumes: true, containerStatuses })
      return
    }
    const missing = this.#faults.imagePull ?? (knownImage.test(container.image) ? undefined : noRegistry(container))
    if (missing !== undefined) {
      const message = `failed to pull and unpack image "${container.image}": ${missing}`
      this.#status(pod, { waitsForVolumes: false, containerStatuses: waiting('ErrImagePull', message) })
      this.event(pod, 'Pod', 'Warning', 'Failed', `Failed to pull image "${container.image}": ${message}`)
      return
    }
    this.#run(pod, secrets)
  }

  /** The Secret volumes' content, or undefined while one of them is not there. */
  #secrets(pod: KubeObject): { path: string; files: Record<string, Buffer> }[] | undefined {
    const mounts: { path: string; files: Record<string, Buffer> }[] = []
    for (const mount of pod.spec.containers[0].volumeMounts ?? []) {
      // biome-ignore lint/suspicious/noExplicitAny: a pod's volumes as they came
      const volume = (pod.spec.volumes ?? []).find((v: any) => v.name === mount.name)
      if (!volume?.secret) continue
      const secret = this.#store.get('secrets', pod.metadata.namespace, volume.secret.secretName)
      if (!secret) return undefined
      const files: Record<string, Buffer> = {}
      for (const [name, value] of Object.entries(secret.data ?? {})) files[name] = Buffer.from(String(value), 'base64')
      for (const [name, value] of Object.entries(secret.stringData ?? {})) files[name] = Buffer.from(String(value))
      mounts.push({ path: mount.mountPath, files })
    }
    return mounts
  }

  #run(pod: KubeObject, mounts: { path: string; files: Record<string, Buffer> }[]): void {
    const { name } = pod.metadata
    const container = pod.spec.containers[0]
    const security = { ...pod.spec.securityContext, ...container.securityContext }
    const ports = new Map<number, number>()
    const env = this.#environment(pod, ports)
    // The pod's addresses are the cluster's to route: here they are the node's own.
    for (const { ip } of pod.status.podIPs) this.#address('replace', ip)
    const crash = this.#faults.crash
    const options = {
      directory: join(this.#directory, name),
      command:
        crash === undefined
          ? [...(container.command ?? []), ...(container.args ?? [])]
          : ['sh', '-c', `echo 'out of order' >&2; exit ${crash}`],
      env,
      uid: security.runAsUser ?? 0,
      gid: security.runAsGroup ?? security.runAsUser ?? 0,
      resolvConf: podResolvConf(pod.metadata.namespace ?? 'default'),
      mounts,
      hostname: name,
    }
    const running: RunningPod = { child: startContainer(options, (text) => (running.log += text)), log: '', ports }
    this.#running.set(name, running)
    running.child.on('exit', (code, signal) => this.#ended(pod, code ?? (signal === 'SIGKILL' ? 137 : 143)))
    const startedAt = new Date().toISOString()
    this.#status(pod, {
      waitsForVolumes: false,
      phase: 'Running',
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status: 'True' })),
      containerStatuses: [
        { name: container.name, image: container.image, ready: true, started: true, state: { running: { startedAt } } },
      ],
    })
  }

  /** The container's variables; a port it is to listen on becomes one that no other pod of the node has. */
  #environment(pod: KubeObject, ports: Map<number, number>): Record<string, string> {
    const env: Record<string, string> = {}
    for (const { name, value, valueFrom } of pod.spec.containers[0].env ?? []) {
      const path: string | undefined = valueFrom?.fieldRef?.fieldPath
      if (path === 'metadata.name') env[name] = pod.metadata.name
      else if (path === 'metadata.namespace') env[name] = pod.metadata.namespace ?? ''
      else if (path === 'status.podIP') env[name] = pod.status.podIP
      else if (path === 'status.podIPs') env[name] = pod.status.podIPs.map(({ ip }: { ip: string }) => ip).join(',')
      else env[name] = value ?? ''
    }
    const wanted = Number(env['KT_AGENT_PORT'] ?? 2222)
    ports.set(wanted, this.#nextPort++)
    env['KT_AGENT_PORT'] = String(ports.get(wanted))
    return env
  }

  #ended(pod: KubeObject, exitCode: number): void {
    const { name, namespace } = pod.metadata
    this.#logs.set(name, this.log(name))
    this.#running.delete(name)
    for (const { ip } of pod.status.podIPs) this.#address('del', ip)
    const current = this.#store.get('pods', namespace, name)
    if (!current) return
    if (current.metadata.deletionTimestamp) {
      this.#store.remove('pods', namespace, name)
      return
    }
    const reason = exitCode === 0 ? 'Completed' : 'Error'
    const container = current.spec.containers[0]
    const phase = exitCode === 0 ? 'Succeeded' : 'Failed'
    this.#status(current, {
      phase,
      containerStatuses: [
        { name: container.name, image: container.image, ready: false, state: { terminated: { exitCode, reason } } },
      ],
    })
    const owner = this.#store.get('jobs', namespace, pod.metadata.labels?.['job-name'] ?? '')
    if (!owner) return
    const type = phase === 'Failed' ? 'Failed' : 'Complete'
    const conditions = [{ type, status: 'True', reason: phase === 'Failed' ? 'BackoffLimitExceeded' : undefined }]
    this.#store.replace('jobs', { ...owner, status: { ...owner.status, active: 0, conditions } })
  }

  /** Ends the pod's process, then forgets the pod; with `grace` 0 both at once. */
  deletePod(pod: KubeObject, grace: number): void {
    const { name, namespace } = pod.metadata
    const running = this.#running.get(name)
    if (!running || grace === 0) {
      running?.child.kill('SIGKILL')
      this.#store.remove('pods', namespace, name)
      return
    }
    const deletionTimestamp = new Date().toISOString()
    this.#store.replace('pods', { ...pod, metadata: { ...pod.metadata, deletionTimestamp } })
    running.child.kill('SIGTERM')
    const timer = setTimeout(() => running.child.kill('SIGKILL'), grace * 1000)
    running.child.on('exit', () => clearTimeout(timer))
  }

  event(about: KubeObject, kind: string, type: string, reason: string, message: string): void {
    const { name, namespace, uid } = about.metadata
    this.#store.create('events', {
      metadata: { name: '', generateName: `${name}.`, namespace },
      involvedObject: { kind, name, namespace, uid },
      type,
      reason,
      message,
      lastTimestamp: new Date().toISOString(),
    })
  }

  #status(pod: KubeObject, status: Record<string, unknown>): KubeObject {
    return this.#store.replace('pods', { ...pod, status: { ...pod.status, ...status } })
  }

  #address(action: 'replace' | 'del', ip: string): void {
    const length = ip.includes(':') ? 128 : 32
    const extra = action === 'replace' && length === 128 ? ['nodad'] : []
    execFileSync('ip', ['addr', action, `${ip}/${length}`, 'dev', 'lo', ...extra], { stdio: 'ignore' })
  }
}

function noRegistry({ image }: { image: string }): string {
  return `failed to resolve reference "${image}": failed to do request: dial tcp: lookup registry: no such host`
}
