// Runs in the cluster's namespace: the API-server double, steered by the lab.
import { readFileSync } from 'node:fs'
import { ApiServer, type ApiServerOptions } from './apiserver.ts'
import { serve } from './child.ts'
import { type Faults, noFaults } from './faults.ts'
import type { KubeObject } from './store.ts'

const options: ApiServerOptions = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const api = new ApiServer(options)
await api.start()
process.on('exit', () => api.kubelet.killAll())

const handlers = {
  /** Changes some faults, or with undefined makes all well again. */
  setFaults: (faults?: Partial<Faults>) => {
    Object.assign(api.faults, faults ?? noFaults())
    api.forwards.resume()
  },
  /** Objects of a resource (`jobs`, `pods`, ...), of all namespaces unless one is named. */
  list: (resource: string, namespace?: string): KubeObject[] => api.store.list({ resource, namespace }),
  /** Puts an object into the cluster, as if somebody else had. */
  create: (resource: string, object: KubeObject) => api.store.create(resource, object),
  /** `VERB RESOURCE` of every request since the last call. */
  takeRequests: () => api.requests.splice(0),
  /** What a pod wrote. */
  log: (pod: string) => api.kubelet.log(pod),
  /** SIGKILL to a pod's process. */
  killPod: (pod: string) => api.kubelet.kill(pod),
  /** Ends all port-forwards at once, without a word. */
  dropForwards: () => api.forwards.drop(),
  forwards: () => ({ count: api.forwards.count, bytes: api.forwards.bytes }),
  /** The API server goes away, and comes back with `start`; pods go on. */
  stop: () => api.stop(),
  start: () => api.start(),
}
export type ApiHandlers = typeof handlers
serve(handlers)
