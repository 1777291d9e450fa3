// Runs in the cluster's namespace: the services, the pods behind them, and the cluster's DNS.
import { serve } from './child.ts'
import { type Resolver, startResolver } from './dns-server.ts'
import { clusterZone, worldZone } from './dns-zones.ts'
import { startHttp, startSmallServices } from './servers.ts'
import { dbPods, dnsAddresses, webAddresses, webPods } from './topology.ts'

const resolver: Resolver = await startResolver(dnsAddresses, 53, [clusterZone(), worldZone()])
for (const pod of [...webPods, ...dbPods])
  for (const address of pod.addresses) {
    await startHttp(address, 8080, [pod.name])
    await startSmallServices(address)
  }
for (const address of webAddresses) {
  await startHttp(
    address,
    80,
    webPods.map((pod) => pod.name),
  )
  await startSmallServices(address)
}

const handlers = {
  /** What the cluster's DNS was asked since the last `forgetQuestions`. */
  questions: () => resolver.asked,
  forgetQuestions: () => {
    resolver.asked.length = 0
  },
  /** The cluster's DNS gives no answers while `mute`. */
  muteDns: (mute: boolean) => {
    resolver.mute = mute
  },
}
export type ClusterHandlers = typeof handlers
serve(handlers)
