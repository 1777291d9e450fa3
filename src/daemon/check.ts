// Is this machine, and this cluster, ready? `check REQUEST` (see control/check.ts) prints a line of JSON a check. A
// program of its own, since the command line knows neither the machine nor the cluster; it runs as the user.
import { lookup } from 'node:dns/promises'
import { Inspection } from '../cluster/inspect.ts'
import { type CheckEnd, type CheckLine, CheckRequest, type CheckSaid } from '../control/check.ts'
import type { Status } from '../control/protocol.ts'
import { systemEffects } from '../host/linux/effects.ts'
import {
  failedLine,
  judgeAdmission,
  judgeNamespace,
  judgePodSecurity,
  judgeQuota,
  judgeRanges,
  judgeServer,
} from './check/cluster.ts'
import { judgeMachine, judgeRoutes } from './check/machine.ts'
import { askEngine, type MachineFacts, readMachine } from './check/machine-facts.ts'
import { judgeBackRights, judgeRight, rightsForBack, rightsNeeded } from './check/rights-needed.ts'
import { judgeTunnel, tryShadow } from './check/shadow.ts'
import { pluginSetting } from './login.ts'
import { capturedRoutes, localInfrastructure, pickAddresses } from './network.ts'
import { shadowOptions } from './shadow-options.ts'

const request = CheckRequest.parse(JSON.parse(process.argv[2] ?? ''))
Object.assign(process.env, request.config.env)
process.stdout.on('error', () => {}) // whoever asked has gone; the shadow is removed all the same
const tell = (line: CheckLine | CheckEnd | CheckSaid) => void process.stdout.write(`${JSON.stringify(line)}\n`)
const plugin = pluginSetting(
  request.config,
  () => true,
  ({ detail }) => tell({ said: detail }),
)
const giveUp = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => giveUp.abort())

const notTried: string[] = []
const { status, stale } = await askEngine()
const machine = await readMachine(systemEffects(), request.root, status, stale)
for (const line of judgeMachine(machine, status)) tell(line)
const ready = await checkCluster(request, machine.net, status)
if (status) tell(judgeTunnel(status))
if (request.tryShadow && ready) await tryShadow(request.config, plugin, tell, giveUp.signal)
else if (request.tryShadow) notTried.push('a shadow, since the cluster cannot be used')
else if (!status) notTried.push('the image, the port-forward and network policies: `kt check --shadow` tries them')
tell({ notTried })

/** False when there is no cluster to go on with. */
async function checkCluster(
  { config, include, exclude }: CheckRequest,
  net: MachineFacts['net'],
  engine: Status | undefined,
): Promise<boolean> {
  let cluster: Inspection
  try {
    const { kubeconfig, context, namespace, connected } = config
    cluster = new Inspection({ kubeconfig, context, namespace, connected }, process.env, plugin)
  } catch (error) {
    tell(failedLine('cluster', 'kubeconfig', error))
    return false
  }
  try {
    const { identity } = cluster
    tell({
      ...{ group: 'cluster', name: 'kubeconfig', state: 'ok' },
      result: `context ${identity.context}, cluster ${identity.cluster} (${identity.server}), user ${identity.user}`,
      advice: '',
    })
    const server = await cluster.server()
    for (const line of judgeServer(server)) tell(line)

    const options = shadowOptions(config)
    const [facts, trials] = await Promise.all([cluster.namespace(), cluster.trials(options)])
    const there = judgeNamespace(identity.namespace, facts, trials)
    tell(there)
    if (there.state === 'failed') return false
    const needed = rightsNeeded(identity.namespace, server.minor)
    const back = rightsForBack(identity.namespace)
    const allowed = await cluster.rights([...needed, ...back])
    tell(judgePodSecurity(config.shadow, facts, trials))
    tell(judgeQuota(facts, trials, options.resources))
    tell(judgeAdmission(trials))

    const addresses = await addressesOf(identity.server)
    const ranges = await cluster.ranges(addresses)
    for (const line of judgeRanges(ranges)) tell(line)
    const keep = localInfrastructure()
    for (const address of addresses) keep.set(address, 'the API server')
    const { routes } = capturedRoutes(ranges?.ranges ?? [], include, exclude, keep)
    if (net && routes.length > 0) tell(judgeRoutes(net, routes, engine?.tun?.addresses ?? pickAddresses(routes).tun))

    for (const [i, one] of needed.entries()) tell(judgeRight(one, allowed[i]))
    for (const line of judgeBackRights(identity.namespace, allowed.slice(needed.length))) tell(line)
    return needed.every(({ weight }, i) => weight === 'better' || allowed[i] !== false)
  } catch (error) {
    tell(failedLine('cluster', 'API server', error))
    return false
  } finally {
    cluster.close()
  }
}

async function addressesOf(server: string): Promise<string[]> {
  try {
    const { hostname } = new URL(server)
    return (await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true })).map(({ address }) => address)
  } catch {
    return [] // behind a proxy the name may be the proxy's to resolve
  }
}
