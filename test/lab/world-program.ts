// Runs in the gateway's namespace: the laptop's own resolver, a public page, and a slow way to the API server.
import { once } from 'node:events'
import http from 'node:http'
import { serve } from './child.ts'
import { type Resolver, startResolver } from './dns-server.ts'
import { worldZone } from './dns-zones.ts'
import { startSlowProxy } from './slow-proxy.ts'
import { apiPort, lan, slowApiPort, world } from './topology.ts'

const resolver: Resolver = await startResolver(world.resolver, 53, [worldZone()])
for (const address of world.page) {
  const server = http.createServer((_, response) => response.end('a public page\n')).listen(80, address)
  await once(server, 'listening')
}
const proxy = await startSlowProxy(lan.gateway[0], slowApiPort, lan.node[0], apiPort)

const handlers = {
  questions: () => resolver.asked,
  forgetQuestions: () => {
    resolver.asked.length = 0
  },
  muteDns: (mute: boolean) => {
    resolver.mute = mute
  },
  /** For the kubeconfig that goes through the slow proxy: one-way delay, and whether bytes pass at all. */
  setProxy: (settings: { delayMs?: number; stalled?: boolean }) => proxy.set(settings),
  /** Ends every connection through the proxy with a reset. */
  cutProxy: () => proxy.cut(),
}
export type WorldHandlers = typeof handlers
serve(handlers)
