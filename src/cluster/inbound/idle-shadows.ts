// Shadows of `kt up` and `kt forward` whose client is dead: no lease holds them, but the agent's log says how many sessions
// it has. They end by themselves after ten minutes, or 85 if the client vanished; `kt clean` does not make anybody wait for that.
import type { V1Job, V1JobList, V1Pod, V1PodList } from '@kubernetes/client-node'
import { OWNER_ANNOTATION } from '../shadow-manifest.ts'
import { jobPath } from '../shadow-removal.ts'
import type { InboundContext } from './context.ts'
import { ID_LABEL, MANAGED_SELECTOR } from './record.ts'

export interface IdleShadow {
  job: string
  uid: string
  owner: string
  /** The last that its agent said of sessions: another line means that somebody came. */
  said: string
}

// What the agent says each time a client comes, goes, vanishes without a word or is back (src/shadow/agent-server.ts), and once
// when it listens.
const SESSION = /^.*session (?:opened|closed|absent|back), (\d+) now$/gm
const LISTENS = /^.* listens on port \d+.*$/m
const TAIL = '1000'

/** Those of `owner` alone, without `except`, which living processes here use. Empty where logs may not be read. */
export async function idleShadows(context: InboundContext, owner: string, except: string[]): Promise<IdleShadow[]> {
  const { api, namespace } = context
  const labelSelector = `${MANAGED_SELECTOR},app.kubernetes.io/component=shadow`
  const { items: jobs } = await api.get<V1JobList>(jobPath(namespace), { labelSelector })
  const own = jobs.filter(
    ({ metadata }) =>
      metadata?.annotations?.[OWNER_ANNOTATION] === owner &&
      metadata.labels?.[ID_LABEL] === undefined &&
      !metadata.deletionTimestamp &&
      !except.includes(metadata.name!),
  )
  if (own.length === 0) return []
  const { items: pods } = await api.get<V1PodList>(`/api/v1/namespaces/${namespace}/pods`, { labelSelector })
  const found = await Promise.all(own.map((job) => idle(context, job, pods)))
  return found.flatMap((one) => one ?? [])
}

async function idle({ api, namespace }: InboundContext, job: V1Job, pods: V1Pod[]): Promise<IdleShadow | undefined> {
  const { name, uid, annotations } = job.metadata!
  const pod = pods.find(
    ({ metadata, status }) => metadata?.labels?.['job-name'] === name && status?.phase === 'Running',
  )
  if (!pod) return undefined // one that is being made, or has ended, has a deadline of its own
  const path = `/api/v1/namespaces/${namespace}/pods/${pod.metadata!.name}/log`
  const { status, body } = await api.ask('GET', path, { query: { tailLines: TAIL } })
  if (status !== 200 || typeof body !== 'string') return undefined
  const last = [...(body as string).matchAll(SESSION)].at(-1)
  // Nobody has ever come, or the last one has gone.
  const said = last ? (last[1] === '0' ? last[0] : undefined) : LISTENS.exec(body)?.[0]
  return said === undefined ? undefined : { job: name!, uid: uid!, owner: annotations![OWNER_ANNOTATION], said }
}

/** Those that still have nobody, and had nobody in between. */
export async function stillIdle(context: InboundContext, before: IdleShadow[]): Promise<IdleShadow[]> {
  if (before.length === 0) return []
  const now = await idleShadows(context, before[0].owner, [])
  return before.filter((one) =>
    now.some(({ job, uid, said }) => job === one.job && uid === one.uid && said === one.said),
  )
}
