// What `kt check` finds out about a cluster: facts only, each by a question that changes nothing (reads, reviews, dry
// runs). In this process, and not in the worker: whoever asks ends soon after.
import type { V1Job, V1Namespace, V1ResourceQuota } from '@kubernetes/client-node'
import { systemTime, type Time } from '../base/clock.ts'
import { Api } from './api.ts'
import { ClusterError, type ClusterIdentity, type ClusterSelection, type Ranges, type ShadowOptions } from './calls.ts'
import { fromStatus } from './errors.ts'
import { type Environment, loadKubeconfig } from './kubeconfig.ts'
import type { PluginSetting } from './plugin.ts'
import { discoverRanges } from './ranges.ts'
import { may, type Right } from './rights.ts'
import { jobManifest } from './shadow-manifest.ts'

export interface ServerFacts {
  /** `v1.34.4` */
  version: string
  minor: number
  /** Of one question on a connection that stands: the shortest of a few. */
  roundTripMs: number
  /** The API server's clock less this machine's, give or take a second; NaN where it did not say. */
  skewMs: number
}

/** What became of a dry run; `unknown` where the right to try is missing. */
export type Trial = 'accepted' | 'unknown' | { code: string; message: string; hint: string }

export interface NamespaceFacts {
  /** Undefined where it may not be read. */
  exists: boolean | undefined
  /** It is being deleted: nothing new can be made in it. */
  terminating: boolean
  /** Label pod-security.kubernetes.io/enforce; undefined where there is none or it may not be read. */
  podSecurity: string | undefined
  /** Undefined where they may not be listed. */
  quotas: { name: string; hard: Record<string, string>; used: Record<string, string> }[] | undefined
}

export interface Trials {
  job: Trial
  secret: Trial
  pod: Trial
}

const PROBES = 4
// Answers of the API server are small; what costs is the handshake of each connection.
const AT_ONCE = 4
// A Secret of about the agent's size: quotas count it, webhooks look at it.
const PLACEHOLDER = 'kt'

/** Questions to one cluster. The constructor throws ClusterError where the kubeconfig is no good. */
export class Inspection {
  readonly identity: Omit<ClusterIdentity, 'serverAddresses'>
  readonly #api: Api
  readonly #time: Time

  constructor(selection: ClusterSelection, env: Environment, plugin?: PluginSetting, time: Time = systemTime) {
    this.#time = time
    this.#api = new Api(() => loadKubeconfig(selection, env), { plugin, time })
    this.identity = this.#api.kubeconfig.identity
  }

  /** Throws ClusterError when it cannot be reached or knows nobody. */
  async server(): Promise<ServerFacts> {
    const { clock, wall } = this.#time
    await this.#api.introduce()
    let roundTripMs = Number.POSITIVE_INFINITY
    let skewMs = Number.NaN
    let answer = { gitVersion: '', minor: '0' }
    for (let i = 0; i < PROBES; i++) {
      const [began, at] = [clock.now(), wall()]
      const { body, serverTime } = await this.#api.send<typeof answer>('GET', '/version')
      const took = clock.now() - began
      if (took < roundTripMs) [roundTripMs, skewMs] = [took, serverTime - (at + took / 2)]
      answer = body
    }
    return { version: answer.gitVersion, minor: Number.parseInt(answer.minor, 10), roundTripMs, skewMs }
  }

  /** In the order of `rights`. */
  async rights(rights: readonly Right[]): Promise<(boolean | undefined)[]> {
    const answers: (boolean | undefined)[] = []
    for (let at = 0; at < rights.length; at += AT_ONCE)
      answers.push(...(await Promise.all(rights.slice(at, at + AT_ONCE).map((right) => may(this.#api, right)))))
    return answers
  }

  async namespace(): Promise<NamespaceFacts> {
    const path = `/api/v1/namespaces/${this.identity.namespace}`
    const [own, quotas] = await Promise.all([
      this.#api.ask('GET', path),
      this.#api.ask('GET', `${path}/resourcequotas`),
    ])
    const labels = own.status === 200 ? (own.body as V1Namespace).metadata?.labels : undefined
    const items = quotas.status === 200 ? (quotas.body as unknown as { items: V1ResourceQuota[] }).items : undefined
    return {
      exists: own.status === 200 ? true : own.status === 404 ? false : undefined,
      terminating:
        own.status === 200 &&
        ((own.body as V1Namespace).status?.phase === 'Terminating' ||
          (own.body as V1Namespace).metadata?.deletionTimestamp !== undefined),
      podSecurity: labels?.['pod-security.kubernetes.io/enforce'],
      quotas: items?.map(({ metadata, status }) => ({
        name: metadata?.name ?? '',
        hard: status?.hard ?? {},
        used: status?.used ?? {},
      })),
    }
  }

  /** Would Job, Secret and pod of a shadow be taken? Dry runs: admission and quotas speak, nothing is made. */
  async trials(options: ShadowOptions): Promise<Trials> {
    const { namespace } = this.identity
    const name = 'kt-shadow-check'
    const job: V1Job = jobManifest(name, namespace, options)
    const { metadata, spec } = job.spec!.template
    const meta = { name, namespace, labels: job.metadata!.labels }
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: meta, stringData: { authorized: PLACEHOLDER } }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name, namespace }, spec }
    const core = `/api/v1/namespaces/${namespace}`
    const [ofJob, ofSecret, ofPod] = await Promise.all([
      this.#dryRun(`/apis/batch/v1/namespaces/${namespace}/jobs`, job),
      this.#dryRun(`${core}/secrets`, secret),
      this.#dryRun(`${core}/pods`, pod),
    ])
    return { job: ofJob, secret: ofSecret, pod: ofPod }
  }

  async #dryRun(path: string, body: object): Promise<Trial> {
    const answer = await this.#api.ask('POST', path, { body, query: { dryRun: 'All' } })
    if (answer.status < 300) return 'accepted'
    const error = fromStatus(answer.status, answer.body, 'a dry run')
    if (error.code === 'forbidden') return 'unknown'
    const { code, hint } = error
    return { code, message: error.message.replace(/^a dry run: /, ''), hint }
  }

  /** Undefined where nothing was found out. */
  async ranges(serverAddresses: string[]): Promise<Ranges | undefined> {
    try {
      return await discoverRanges(this.#api, this.identity.namespace, serverAddresses)
    } catch (error) {
      if (error instanceof ClusterError) return undefined
      throw error
    }
  }

  close(): void {
    this.#api.close()
  }
}
