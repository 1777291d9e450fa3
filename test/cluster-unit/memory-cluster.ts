// A namespace in memory for tests of the way back: objects with resourceVersions, merge patches, preconditions; a Job gets a
// running pod, a Service endpoints, a workload its replicas. A client may die after so many changes.

import type { RequestExtras, WatchEvent } from '../../src/cluster/api.ts'
import { fromStatus } from '../../src/cluster/errors.ts'
import type { ApiPort } from '../../src/cluster/follow.ts'

export interface Stored {
  metadata: {
    name: string
    uid: string
    resourceVersion: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
    [key: string]: unknown
  }
  // biome-ignore lint/suspicious/noExplicitAny: objects of all kinds, as the API server has them
  [key: string]: any
}

export class MemoryCluster {
  readonly objects = new Map<string, Stored>()
  #version = 100
  readonly #watchers = new Set<() => void>()

  put(path: string, object: Omit<Partial<Stored>, 'metadata'> & { metadata?: object }): Stored {
    const name = path.split('/').at(-1)!
    const version = String(++this.#version)
    const stored = structuredClone({
      ...object,
      metadata: { uid: `uid-${version}`, ...object.metadata, name, namespace: 'shop', resourceVersion: version },
    }) as Stored
    this.objects.set(path, stored)
    return stored
  }

  list(folder: string, labels = ''): Stored[] {
    const wanted = labels.split(',').filter((each) => each !== '')
    return [...this.objects]
      .filter(([path]) => path.startsWith(`${folder}/`) && !path.slice(folder.length + 1).includes('/'))
      .map(([, object]) => object)
      .filter(({ metadata }) => wanted.every((each) => metadata.labels?.[each.split('=')[0]] === each.split('=')[1]))
  }

  /** A client. It dies with the change number `diesAfter` made, or with the one after it not made. */
  client(diesAfter = Number.POSITIVE_INFINITY): ApiPort & { changes: () => number } {
    let changes = 0
    const answer = (method: string, path: string, extras: RequestExtras): [number, unknown] => {
      if (changes >= diesAfter) throw new Dead()
      if (path.startsWith('/apis/authorization')) return [201, { status: { allowed: true } }]
      if (method === 'GET') return this.#serve(method, path, extras)
      changes++
      const result = this.#serve(method, path, extras)
      for (const wake of this.#watchers) wake()
      this.#watchers.clear()
      return result
    }
    const ask = async (method: string, path: string, extras: RequestExtras = {}) => {
      const [status, body] = answer(method, path, extras)
      return { status, body: structuredClone(body) as never }
    }
    const send = async <T>(method: string, path: string, extras: RequestExtras = {}) => {
      const { status, body } = await ask(method, path, extras)
      if (status >= 400) throw fromStatus(status, body, extras.doing ?? path)
      return { body: body as T, serverTime: 1_700_000_000_000 + this.#version * 1000 }
    }
    const cluster = this
    return {
      changes: () => changes,
      ask,
      send,
      get: async <T>(path: string, query: Record<string, string> = {}) => (await send<T>('GET', path, { query })).body,
      async *watch<T>(path: string, query: Record<string, string>, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
        if (changes >= diesAfter) throw new Dead()
        const seen = new Map<string, Stored>()
        while (!signal.aborted) {
          const now = cluster.#query(path, query)
          for (const [name, object] of seen) {
            if (now.some(({ metadata }) => metadata.name === name)) continue
            seen.delete(name)
            yield { type: 'DELETED', object: structuredClone(object) as T }
          }
          for (const object of now) {
            if (seen.get(object.metadata.name)?.metadata.resourceVersion === object.metadata.resourceVersion) continue
            seen.set(object.metadata.name, object)
            yield { type: 'MODIFIED', object: structuredClone(object) as T }
          }
          await new Promise<void>((resolve) => {
            cluster.#watchers.add(resolve)
            signal.addEventListener('abort', () => resolve(), { once: true })
          })
        }
      },
    }
  }

  #query(path: string, query: Record<string, string> = {}): Stored[] {
    this.#control()
    const field = /^metadata\.name=(.*)$/.exec(query['fieldSelector'] ?? '')?.[1]
    return this.list(path, query['labelSelector']).filter(
      ({ metadata }) => field === undefined || metadata.name === field,
    )
  }

  #serve(method: string, path: string, { body, query }: RequestExtras): [number, unknown] {
    const there = this.objects.get(path)
    const change = body as Stored & { preconditions?: { uid?: string; resourceVersion?: string } }
    switch (method) {
      case 'GET': {
        this.#control()
        if (there) return [200, this.objects.get(path)]
        if (/\/[a-z]+$/.test(path) && isCollection(path))
          return [200, { items: this.#query(path, query), metadata: { resourceVersion: String(this.#version) } }]
        return status(404, `${path} not found`)
      }
      case 'POST': {
        const at = `${path}/${change.metadata.name}`
        if (this.objects.has(at)) return status(409, `${at} already exists`, 'AlreadyExists')
        if (path.endsWith('/services')) change.spec = { clusterIP: '10.96.0.77', ...change.spec }
        return [201, this.put(at, change)]
      }
      case 'PATCH': {
        if (!there) return status(404, `${path} not found`)
        const version = change.metadata?.resourceVersion
        if (version && version !== there.metadata.resourceVersion)
          return status(409, 'somebody changed it meanwhile', 'Conflict')
        const uid = change.metadata?.uid
        if (uid && uid !== there.metadata.uid) return status(409, 'it is another one', 'Conflict')
        const { resourceVersion: _, ...metadata } = change.metadata ?? {}
        return [200, this.put(path, merge(there, { ...change, ...(change.metadata && { metadata }) }) as Stored)]
      }
      default: {
        if (!there) return status(404, `${path} not found`)
        const { uid, resourceVersion } = change?.preconditions ?? {}
        if (uid && uid !== there.metadata.uid) return status(409, 'Precondition failed: uid', 'Conflict')
        if (resourceVersion && resourceVersion !== there.metadata.resourceVersion)
          return status(409, 'Precondition failed', 'Conflict')
        this.objects.delete(path)
        this.#control()
        return [200, {}]
      }
    }
  }

  // What controllers would do, done when somebody looks.
  #control(): void {
    const pods = '/api/v1/namespaces/shop/pods'
    const jobs = this.list('/apis/batch/v1/namespaces/shop/jobs')
    for (const job of jobs) {
      const path = `${pods}/${job.metadata.name}-x`
      if (job['spec'].suspend || this.objects.has(path)) continue
      const { labels } = job['spec'].template.metadata
      this.put(path, {
        metadata: {
          labels: { ...labels, 'job-name': job.metadata.name },
          annotations: job['spec'].template.metadata.annotations,
        },
        spec: { nodeName: 'node1', containers: [] },
        status: {
          phase: 'Running',
          conditions: [{ type: 'Ready', status: 'True' }],
          containerStatuses: [{ name: 'shadow', state: { running: {} } }],
        },
      })
    }
    for (const pod of this.list(pods)) {
      const job = pod.metadata.labels?.['job-name']
      if (job && jobs.every(({ metadata }) => metadata.name !== job))
        this.objects.delete(`${pods}/${pod.metadata.name}`)
    }
    const uids = new Set(jobs.map(({ metadata }) => metadata.uid))
    for (const { metadata } of this.list('/api/v1/namespaces/shop/secrets')) {
      const owners = (metadata['ownerReferences'] ?? []) as { uid: string }[]
      if (owners.length > 0 && owners.every(({ uid }) => !uids.has(uid)))
        this.objects.delete(`/api/v1/namespaces/shop/secrets/${metadata.name}`)
    }
    for (const workload of this.list('/apis/apps/v1/namespaces/shop/deployments')) {
      const { replicas } = workload['spec']
      workload['status'] = { replicas, readyReplicas: replicas }
      const mine = this.list(pods).filter(({ metadata }) => metadata['workload'] === workload.metadata.name)
      for (const { metadata } of mine.slice(replicas)) this.objects.delete(`${pods}/${metadata.name}`)
      for (let n = mine.length; n < replicas; n++)
        this.put(`${pods}/${workload.metadata.name}-${++this.#version}`, {
          metadata: { labels: workload['spec'].template.metadata.labels, workload: workload.metadata.name },
          spec: { containers: [] },
        })
    }
    for (const service of this.list('/api/v1/namespaces/shop/services')) {
      const selector = Object.entries(service['spec'].selector ?? {})
      const fit = this.list(pods).filter(({ metadata }) =>
        selector.every(([key, value]) => metadata.labels?.[key] === value),
      )
      const path = `/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/${service.metadata.name}`
      const endpoints = fit.map(({ metadata }) => ({ conditions: { ready: true }, targetRef: { name: metadata.name } }))
      const labels = { 'kubernetes.io/service-name': service.metadata.name }
      this.put(path, { metadata: { labels }, addressType: 'IPv4', endpoints })
    }
  }
}

/** The error of a client that is no more. */
export class Dead extends Error {
  code = 'dead'
}

const isCollection = (path: string) =>
  /\/(services|pods|jobs|secrets|leases|deployments|statefulsets|endpointslices|events|horizontalpodautoscalers)$/.test(
    path,
  )

function status(code: number, message: string, reason?: string): [number, unknown] {
  return [code, { kind: 'Status', code, message, reason }]
}

// RFC 7386
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result = { ...(typeof target === 'object' && target !== null ? target : {}) } as Record<string, unknown>
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = merge(result[key], value)
  }
  return result
}
