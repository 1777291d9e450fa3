// What only a shadow that runs can tell: can its image be pulled, does a port-forward work, do network policies let it
// reach the cluster. Made like that of `kt up`, and removed.

import type { ServiceSeen, ShadowHandle } from '../../cluster/calls.ts'
import { createClusterClient } from '../../cluster/client.ts'
import type { PluginSetting } from '../../cluster/plugin.ts'
import type { CheckLine, CheckState } from '../../control/check.ts'
import type { ShadowConfig } from '../../control/config.ts'
import type { Status } from '../../control/protocol.ts'
import { parsePodResolvConf } from '../../dns/pod-resolv-conf.ts'
import type { DialFailure, Tunnel } from '../../tunnel/tunnel.ts'
import { type Endpoint, formatEndpoint, IpAddress } from '../../wire/address.ts'
import { createDialer } from '../dialer.ts'
import { shadowImage, shadowOptions } from '../shadow-options.ts'
import { failedLine } from './cluster.ts'

const line = (name: string, state: CheckState, result: string, advice = ''): CheckLine => ({
  group: 'shadow',
  ...{ name, state, result, advice },
})

/** While connected there is a tunnel to look at. */
export function judgeTunnel({ state, shadow, roundTripMs, reconnects }: Status): CheckLine {
  const name = 'tunnel'
  if (state === 'connected' && shadow) {
    const times = reconnects === 0 ? '' : `, ${reconnects} reconnect${reconnects > 1 ? 's' : ''}`
    const ms = roundTripMs === null ? '' : `, ${roundTripMs.toFixed(1)} ms round trip`
    return line(name, 'ok', `stands, to ${shadow.pod} on ${shadow.node}${ms}${times}`)
  }
  return line(name, 'warning', `kt is ${state}`, 'the line "connection" above says why')
}

/** What dials from the shadow came to. `failure` undefined: connected. */
export interface Reached {
  /** `the cluster's DNS 10.96.0.10:53`, `the Service web 10.96.3.7:80`. */
  what: string
  failure: DialFailure | undefined
}

/** A policy that drops packets shows as silence; refusals come from whoever is there. */
export function judgeReached(reached: readonly Reached[]): CheckLine {
  const name = 'policies'
  const blocked = reached.filter(({ failure }) => failure === 'timeout' || failure === 'prohibited')
  const advice = 'a NetworkPolicy may keep the shadow out: allow pods with the label app.kubernetes.io/name: kt'
  if (reached.length === 0) return line(name, 'ok', 'there is nothing to try them on')
  if (blocked.length > 0)
    return line(name, 'failed', `the shadow gets no answer from ${blocked.map(({ what }) => what).join(', ')}`, advice)
  const answered = reached.filter(({ failure }) => failure === undefined)
  if (answered.length === 0)
    return line(name, 'warning', `${reached.map(({ what, failure }) => `${what}: ${failure}`).join('; ')}`, advice)
  return line(name, 'ok', `the shadow reaches ${answered.map(({ what }) => what).join(', ')}`)
}

// Silence of a policy lasts for ever; a busy node answers within this.
const DIAL_MS = 5_000
const MOST_SERVICES = 3

/** Makes a shadow, tries, removes it; tells each line as it is known. Rejects never. */
export async function tryShadow(
  config: ShadowConfig,
  plugin: PluginSetting,
  tell: (line: CheckLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const { kubeconfig, context, namespace, connected } = config
  const cluster = createClusterClient({ kubeconfig, context, namespace, connected }, { plugin })
  const log = Object.assign(() => {}, { debug: () => {}, trouble: () => undefined })
  const dialer = createDialer(cluster, config, log, signal)
  let made: ShadowHandle | undefined
  let runs = false
  try {
    const began = performance.now()
    const [shadow, tunnel] = await dialer.connect((dialable) =>
      cluster
        .createShadow(shadowOptions(config), () => {}, {
          dialable: (handle) => {
            made = handle
            dialable(handle)
          },
          signal,
        })
        .then((handle) => {
          made = handle
          runs = true
          return handle
        }),
    )
    made = shadow
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    tell(line('pod', 'ok', `${shadowImage(config)} runs on ${shadow.node}, ${seconds} s after it was asked for`))
    const ms = (await tunnel.probe(DIAL_MS)).toFixed(1)
    tell(line('port-forward', 'ok', `works: ${shadow.kind} ${tunnel.info.version}, ${ms} ms round trip`))
    const services = await cluster.services().catch(() => undefined)
    tell(judgeReached(await reach(tunnel, targets(tunnel, shadow.namespace, services?.services ?? []))))
    await tunnel.close()
  } catch (error) {
    if (!signal.aborted) tell(failedLine('shadow', runs ? 'port-forward' : 'pod', error))
  } finally {
    if (made) {
      await cluster.removeShadow(made).then(
        () => {},
        (error: Error) => tell(line('removal', 'warning', `${made!.job}: ${error.message}`, 'it ends by itself')),
      )
    }
    await cluster.close()
  }
}

interface Target {
  what: string
  endpoint: Endpoint
}

function targets(tunnel: Tunnel, namespace: string, services: readonly ServiceSeen[]): Target[] {
  const { resolver } = parsePodResolvConf(tunnel.info.resolvConf ?? '')
  const at = (what: string, address: string | undefined, port: number): Target[] => {
    const parsed = address === undefined ? undefined : IpAddress.tryParse(address)
    if (!parsed) return []
    const endpoint = { address: parsed, port }
    return [{ what: `${what} ${formatEndpoint(endpoint)}`, endpoint }]
  }
  const some = services
    .filter((one) => one.namespace === namespace && (one.ready ?? 0) > 0 && one.addresses.length > 0)
    .flatMap(({ name, addresses, ports }) => {
      const tcp = ports.find(({ protocol }) => protocol === 'TCP')
      return tcp ? at(`the Service ${name}`, addresses[0], tcp.port) : []
    })
  return [...at("the cluster's DNS", resolver?.toString(), 53), ...some.slice(0, MOST_SERVICES)]
}

const nowhere: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 0 }

function reach(tunnel: Tunnel, all: readonly Target[]): Promise<Reached[]> {
  return Promise.all(
    all.map(async ({ what, endpoint }) => {
      const { promise, resolve } = Promise.withResolvers<DialFailure | undefined>()
      const timer = setTimeout(() => resolve('timeout'), DIAL_MS)
      const stream = tunnel.openStream(endpoint, nowhere, {
        onOpen: () => resolve(undefined),
        onFail: (reason) => resolve(reason),
        onData: () => {},
        onEnd: () => {},
        onDrain: () => {},
        onClose: () => resolve('lost'),
      })
      const failure = await promise
      clearTimeout(timer)
      if (failure === undefined) stream.reset()
      return { what, failure }
    }),
  )
}
