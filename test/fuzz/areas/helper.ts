import assert from 'node:assert/strict'
import { CallerLine, HelperRequest } from '../../../src/daemon/helper/protocol.ts'
import type { DesiredState } from '../../../src/host/desired.ts'
import { HostError } from '../../../src/host/errors.ts'
import { describe } from '../../../src/host/linux/actions.ts'
import type { Facts } from '../../../src/host/linux/facts.ts'
import { planNetwork, planResolver } from '../../../src/host/linux/plan.ts'
import { covers, network, parsePrefix } from '../../../src/wire/prefix.ts'
import type { Area } from '../area.ts'
import { parsed, spoil } from '../json.ts'
import type { Random } from '../random.ts'

const DNS = {
  mode: 'resolvconf',
  servers: ['10.255.0.53'],
  domains: ['cluster.local', 'svc', 'shop'],
  searchDomains: ['shop.svc.cluster.local'],
}
const GOOD = [
  {
    id: 1,
    op: 'apply',
    state: {
      mtu: 65_000,
      addresses: ['10.255.0.1/24', 'fd00:255::1/112'],
      routes: ['10.96.0.0/16', '10.244.0.0/16', 'fd00:10::/64'],
      dns: DNS,
    },
  },
  { id: 2, op: 'updateDns', dns: DNS },
  { id: 3, op: 'look' },
  { id: 4, op: 'undo' },
  { type: 'progress', text: 'x' },
]
const ADDRESSES = [
  '10.255.0.1',
  '10.255.0.54',
  '1.1.1.1',
  'fd00:255::53',
  '::1',
  '10.0.0.0/8',
  '10.255.0.1/23',
  'fd00::/8',
]
const TUN = { name: 'kt0', ifindex: 7 }
const FACTS: Facts = {
  routes: [],
  owners: new Map(),
  ipv6: true,
  resolver: { resolvConf: 'nameserver 192.0.2.1\n', uplink: undefined, answers: false } as unknown as Facts['resolver'],
}

/** What a request that was taken may do to the machine: addresses, ranges and names, on our interface. */
function check(state: DesiredState): void {
  const own = state.addresses.map((address) => parsePrefix(network(address)))
  for (const prefix of own) assert.ok(prefix.length >= (prefix.family === 4 ? 24 : 112))
  for (const server of state.dns.servers)
    assert.ok(
      own.some((prefix) => covers(prefix, parsePrefix(server))),
      server,
    )
  let steps: ReturnType<typeof planNetwork>['steps']
  try {
    steps = planNetwork(state, FACTS, TUN).steps
  } catch (error) {
    assert.ok(error instanceof HostError)
    return
  }
  const decision = { mode: state.dns.mode === 'none' ? 'none' : 'resolved', notes: [] } as const
  const resolver = planResolver(state.dns, decision as never, FACTS, TUN, undefined).steps
  for (const step of [...steps, ...resolver])
    for (const line of describe(step.do).split('\n')) assert.match(line, /^[a-z][\w .:/~=-]*$/, 'a line of the plan')
}

export default {
  about: 'requests to the root helper: what is taken is addresses, ranges and names, and nothing leads out of the TUN',
  make: (random: Random) => Buffer.from(JSON.stringify(spoil(random, random.pick(GOOD), ADDRESSES)) ?? ''),
  start: () => ({
    attempt(input) {
      const value = parsed(input.toString())
      CallerLine.safeParse(value)
      const request = HelperRequest.safeParse(value)
      if (!request.success) return
      if (request.data.op === 'apply') check(request.data.state)
      else if (request.data.op === 'updateDns')
        for (const domain of request.data.dns.domains) assert.match(domain, /^[a-z0-9_.-]{1,253}$/)
    },
  }),
} satisfies Area
