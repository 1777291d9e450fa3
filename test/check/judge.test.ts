// `kt check`: every way a check can come out, as text. The golden file reads like the command's output; after a change of
// words, KT_UPDATE_GOLDEN=1 writes it anew, to be read before it is committed.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Ranges } from '../../src/cluster/calls.ts'
import { clusterError } from '../../src/cluster/errors.ts'
import type { NamespaceFacts, ServerFacts, Trial, Trials } from '../../src/cluster/inspect.ts'
import type { Right } from '../../src/cluster/rights.ts'
import type { CheckLine } from '../../src/control/check.ts'
import type { Status } from '../../src/control/protocol.ts'
import {
  failedLine,
  judgeAdmission,
  judgeNamespace,
  judgePodSecurity,
  judgeQuota,
  judgeRanges,
  judgeServer,
} from '../../src/daemon/check/cluster.ts'
import { judgeMachine, judgeRoutes } from '../../src/daemon/check/machine.ts'
import type { MachineFacts } from '../../src/daemon/check/machine-facts.ts'
import { judgeBackRights, judgeRight, rightsForBack, rightsNeeded } from '../../src/daemon/check/rights-needed.ts'
import { judgeReached, judgeTunnel } from '../../src/daemon/check/shadow.ts'
import type { Facts } from '../../src/host/linux/facts.ts'

const net: Facts = {
  routes: [
    { destination: '0.0.0.0/0', device: 'eth0', gateway: '192.168.1.1', table: 'main', type: 'unicast' },
    { destination: '192.168.1.0/24', device: 'eth0', gateway: undefined, table: 'main', type: 'unicast' },
  ],
  owners: new Map(),
  ipv6: true,
  resolver: {
    resolvConf: 'nameserver 192.168.1.1\n',
    linkTarget: undefined,
    resolvedAnswers: false,
    uplink: undefined,
  },
}
const good: MachineFacts = {
  node: '24.21.0',
  addonError: undefined,
  slowCiphers: undefined,
  tun: 'there',
  root: 'sudo',
  net,
  vpns: [],
  rules: [],
  forwards: false,
  leftovers: [],
}
/** The lines that differ from those of a machine where all is well. */
function machine(change: Partial<MachineFacts>, status?: Partial<Status>): CheckLine[] {
  const usual = new Set(judgeMachine(good, undefined).map((line) => JSON.stringify(line)))
  return judgeMachine({ ...good, ...change }, status as Status | undefined).filter(
    (line) => !usual.has(JSON.stringify(line)),
  )
}
const resolver = (change: Partial<Facts['resolver']>) => ({ net: { ...net, resolver: { ...net.resolver, ...change } } })
const stub = { linkTarget: '/run/systemd/resolve/stub-resolv.conf', resolvConf: 'nameserver 127.0.0.53\n' }
const route = (destination: string, device: string) => ({
  ...net,
  routes: [...net.routes, { destination, device, gateway: undefined, table: 'main', type: 'unicast' }],
})

const server: ServerFacts = { version: 'v1.34.4', minor: 34, roundTripMs: 12.3, skewMs: 400 }
const namespace: NamespaceFacts = { exists: true, terminating: false, podSecurity: undefined, quotas: [] }
const trials: Trials = { job: 'accepted', secret: 'accepted', pod: 'accepted' }
const refused = (message: string): Trial => ({ ...clusterError('admission', message), message })
const full = {
  name: 'team',
  hard: { pods: '10', 'requests.memory': '1Gi' },
  used: { pods: '3', 'requests.memory': '1000Mi' },
}
const violates = refused(
  'pods "kt-shadow-check" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
)
const exceeded = refused(
  'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=10, limited: pods=10',
)

const ranges = (...notes: string[]): Ranges => ({
  ranges: [{ cidr: '10.96.0.0/16', kind: 'services', source: 'ServiceCIDR kubernetes', guessed: false }],
  notes,
})
const right = (verb: string, resource: string, minor = 34) =>
  rightsNeeded('shop', minor).find(
    (one) => one.verb === verb && [one.resource, one.subresource].filter(Boolean).join('/') === resource,
  )!

const status = {
  state: 'connected',
  shadow: { pod: 'kt-shadow-x-abc', node: 'node1' },
  roundTripMs: 3.21,
  reconnects: 0,
  dns: { mode: 'resolved' },
} as Status
const dns = "the cluster's DNS 10.96.0.10:53"

const cases: Record<string, CheckLine[]> = {
  'all is well on the machine': judgeMachine(good, undefined),
  'Node too old': machine({ node: '20.11.1' }),
  'Node newer than known': machine({ node: '26.0.0' }),
  'it forwards for others': machine({ forwards: true }),
  connected: machine({}, status),
  'packets of others came': machine({ forwards: true }, { ...status, foreignPackets: 12 }),
  'connected, and nothing passes': machine(
    {},
    {
      ...status,
      faults: [
        { code: 'no-passage', message: 'nothing that programs send reaches kt', hint: 'see the firewall', since: '' },
        { code: 'resolv-conf', message: 'another program has rewritten it', hint: 'find it', since: '' },
      ],
    },
  ),
  'no addon': machine({ addonError: 'the compiled part /kt/native/build/kt_tun.node is missing' }),
  'no native ciphers': machine({
    slowCiphers: { message: 'the compiled cipher is missing: slow', hint: 'install kt again' },
  }),
  'no TUN': machine({ tun: 'missing' }),
  'a file in its place': machine({ tun: 'no-device' }),
  'this is root': machine({ root: 'root' }),
  'no sudo': machine({ root: 'none' }),
  'no ip': machine({ net: undefined }),
  resolved: machine(resolver({ ...stub, resolvedAnswers: true, uplink: 'nameserver 10.1.1.1\n' })),
  'resolved does not answer': machine(resolver(stub)),
  'no resolver': machine(resolver({ resolvConf: undefined })),
  'a resolver that is no address': machine(
    resolver({ resolvConf: 'nameserver dns.office.test\nnameserver 9.9.9.9\n' }),
  ),
  'names while connected': machine({}, status),
  'IPv6 off': machine({ net: { ...net, ipv6: false } }),
  'another VPN': machine({ vpns: [{ name: 'wg0', kind: 'wireguard' }] }),
  'another VPN with rules': machine({
    vpns: [{ name: 'wg0', kind: 'wireguard' }],
    rules: ['32764: from all lookup 51820'],
  }),
  leftovers: machine({ leftovers: ['its control socket', 'its /etc/resolv.conf'] }),
  'routes fit': [judgeRoutes(net, ['10.96.0.0/16'], ['198.18.53.1/30'])],
  'a shorter route': [judgeRoutes(route('10.0.0.0/8', 'tun0'), ['10.96.0.0/16'], ['198.18.53.1/30'])],
  'a route in the way': [judgeRoutes(route('10.96.0.0/24', 'tun0'), ['10.96.0.0/16'], ['198.18.53.1/30'])],
  'no kubeconfig': [
    failedLine(
      'cluster',
      'kubeconfig',
      clusterError('kubeconfig-missing', 'there is no kubeconfig: KUBECONFIG is not set and no /home/ann/.kube/config'),
    ),
  ],
  'API server away': [
    failedLine(
      'cluster',
      'API server',
      clusterError('unreachable', 'the API server https://k.example:6443 does not answer'),
    ),
  ],
  'certificate expired': [
    failedLine(
      'cluster',
      'API server',
      clusterError('credentials', 'the client certificate of user "ann" expired on 2026-01-01T00:00:00.000Z'),
    ),
  ],
  'API server': judgeServer(server),
  'far away': judgeServer({ ...server, roundTripMs: 640 }),
  'too old a cluster': judgeServer({ ...server, version: 'v1.20.1', minor: 20 }),
  'an old cluster that was not tried': judgeServer({ ...server, version: 'v1.29.15', minor: 29 }),
  'a cluster between those that were tried': judgeServer({ ...server, version: 'v1.31.2+k3s1', minor: 31 }),
  'the newest cluster that was tried': judgeServer({ ...server, version: 'v1.37.2', minor: 37 }),
  'a cluster that is newer': judgeServer({ ...server, version: 'v1.38.0', minor: 38 }),
  'a server that tells no number': judgeServer({ ...server, version: 'main', minor: Number.NaN }),
  'the clock is behind': judgeServer({ ...server, skewMs: 95_000 }),
  'the clock is ahead': judgeServer({ ...server, skewMs: -3_600_000 }),
  'the server does not tell the time': judgeServer({ ...server, skewMs: Number.NaN }),
  namespace: [judgeNamespace('shop', namespace, trials)],
  'a namespace that may not be read': [judgeNamespace('shop', { ...namespace, exists: undefined }, trials)],
  'no such namespace': [judgeNamespace('nope', { ...namespace, exists: false }, trials)],
  'a namespace that is being deleted': [judgeNamespace('shop', { ...namespace, terminating: true }, trials)],
  'a namespace that is being deleted, told by a dry run': [
    judgeNamespace(
      'shop',
      { ...namespace, exists: undefined },
      {
        ...trials,
        job: {
          ...clusterError('admission', ''),
          message: 'unable to create new content in namespace shop because it is being terminated',
        },
      },
    ),
  ],
  'no such namespace, told by a dry run': [
    judgeNamespace(
      'nope',
      { ...namespace, exists: undefined },
      { ...trials, job: { ...clusterError('namespace-missing', ''), message: '' } },
    ),
  ],
  'Pod Security: none': [judgePodSecurity('agent', namespace, trials)],
  'Pod Security: restricted': [judgePodSecurity('agent', { ...namespace, podSecurity: 'restricted' }, trials)],
  'Pod Security: not tried': [judgePodSecurity('agent', namespace, { ...trials, pod: 'unknown' })],
  'Pod Security: sshd refused': [
    judgePodSecurity('sshd', { ...namespace, podSecurity: 'restricted' }, { ...trials, pod: violates }),
  ],
  'Pod Security: sshd, not tried': [
    judgePodSecurity('sshd', { ...namespace, podSecurity: 'restricted' }, { ...trials, pod: 'unknown' }),
  ],
  'quota: none': [judgeQuota(namespace, trials, {})],
  'quota: fits': [judgeQuota({ ...namespace, quotas: [full] }, trials, {})],
  'quota: exceeded': [judgeQuota({ ...namespace, quotas: [full] }, { ...trials, pod: exceeded }, {})],
  'quota: reckoned, fits': [
    judgeQuota({ ...namespace, quotas: [full] }, { ...trials, pod: 'unknown' }, { memory: '24Mi' }),
  ],
  'quota: reckoned, full': [judgeQuota({ ...namespace, quotas: [full] }, { ...trials, pod: 'unknown' }, {})],
  'quota: reckoned, limits full': [
    judgeQuota(
      {
        ...namespace,
        quotas: [{ name: 'team', hard: { 'limits.memory': '1Gi' }, used: { 'limits.memory': '600Mi' } }],
      },
      { ...trials, pod: 'unknown' },
      {},
    ),
  ],
  'quota: not to be read': [judgeQuota({ ...namespace, quotas: undefined }, { ...trials, pod: 'unknown' }, {})],
  admission: [judgeAdmission(trials)],
  'admission: in part': [judgeAdmission({ ...trials, pod: 'unknown' })],
  'admission: not tried': [judgeAdmission({ job: 'unknown', secret: 'unknown', pod: 'unknown' })],
  'admission: a webhook refuses': [
    judgeAdmission({
      ...trials,
      job: refused('admission webhook "policy.example" denied the request: images must be ours'),
    }),
  ],
  'ranges: unknown': judgeRanges(undefined),
  'ranges: services only': judgeRanges(
    ranges(
      'there are no pods in the namespace shop to see addresses of: none is captured; use --include CIDR, or get `list` on nodes',
    ),
  ),
  'ranges: guessed': judgeRanges({
    ranges: [
      {
        cidr: '10.96.0.0/16',
        kind: 'services',
        source: 'seen on 3 addresses of services in the namespace shop',
        guessed: true,
      },
      { cidr: '10.244.0.0/16', kind: 'pods', source: "nodes' podCIDRs", guessed: false },
    ],
    notes: [
      'range of services guessed as 10.96.0.0/16 (seen on 3 addresses of services in the namespace shop); to have it exact: get `list` on servicecidrs.networking.k8s.io, or use --include and --exclude',
    ],
  }),
  'ranges: no right to list services': judgeRanges({
    ranges: [],
    notes: [
      'no right to list services: their addresses are not captured; use --include CIDR, or get `list` on servicecidrs.networking.k8s.io',
    ],
  }),
  'a right': [judgeRight(right('create', 'jobs'), true)],
  'a right that is missing': [judgeRight(right('create', 'jobs'), false)],
  'a right that would be better': [judgeRight(right('list', 'nodes'), false)],
  'nobody says': [judgeRight(right('get', 'pods/portforward'), undefined)],
  'create port-forwards before 1.35': [judgeRight(right('create', 'pods/portforward'), false)],
  'create port-forwards from 1.35 on': [judgeRight(right('create', 'pods/portforward', 35), false)],
  'rights to exchange': judgeBackRights(
    'shop',
    rightsForBack('shop').map(() => true),
  ),
  'rights to exchange, in part': judgeBackRights(
    'shop',
    rightsForBack('shop').map(({ verb, resource }) => resource !== 'leases' && verb !== 'patch'),
  ),
  'a tunnel that stands': [judgeTunnel(status)],
  'a tunnel after trouble': [judgeTunnel({ ...status, reconnects: 2 })],
  'no tunnel': [judgeTunnel({ ...status, state: 'reconnecting' })],
  'an image that cannot be pulled': [
    failedLine('shadow', 'pod', clusterError('image-pull', 'the image nope:1 cannot be pulled: not found')),
  ],
  'policies: open': [
    judgeReached([
      { what: dns, failure: undefined },
      { what: 'the Service web 10.96.3.7:80', failure: 'refused' },
    ]),
  ],
  'policies: closed': [
    judgeReached([
      { what: dns, failure: undefined },
      { what: 'the Service web 10.96.3.7:80', failure: 'timeout' },
    ]),
  ],
  'policies: nobody there': [judgeReached([{ what: dns, failure: 'refused' }])],
  'policies: nothing to try': [judgeReached([])],
}

test('every outcome, in words', () => {
  const text = Object.entries(cases)
    .map(([name, lines]) => {
      const shown = lines.map(({ name: what, state, result, advice }) =>
        [`${state} ${what}: ${result}`, ...(advice ? [`    ${advice}`] : [])].join('\n'),
      )
      return [`# ${name}`, ...shown, ''].join('\n')
    })
    .join('\n')
  const golden = join(import.meta.dirname, 'golden.txt')
  if (process.env['KT_UPDATE_GOLDEN']) writeFileSync(golden, text)
  assert.equal(text, readFileSync(golden, 'utf8'))
})

test('what is not ok says what to do, in one line', () => {
  for (const [name, lines] of Object.entries(cases))
    for (const { state, result, advice } of lines) {
      assert.ok(result && !/\n/.test(result + advice), name)
      assert.equal(advice === '', state === 'ok', name)
    }
})

test('the versions that kt was tried with are those of docs/understand/reliability.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/understand/reliability.md'), 'utf8')
  const [, columns] = /^## Versions of Kubernetes$[\s\S]*?^\| {2}\|(.*)\|$/m.exec(text)!
  const tried = columns.split('|').map((version) => version.trim().replace(/\.\d+$/, ''))
  const [, said] = judgeServer(server)
  assert.equal(said.result, `kt was tried with ${tried.slice(0, -1).join(', ')} and ${tried.at(-1)}`)
})

test('the rights asked for are those of docs/operate/rights.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/operate/rights.md'), 'utf8')
  const asked: Right[] = [...rightsNeeded('shop', 34), ...rightsForBack('shop')]
  for (const { verb, resource, subresource } of asked) {
    const what = [resource, subresource].filter(Boolean).join('/')
    const row = text
      .split('\n')
      .some((line) => line.startsWith('|') && line.includes(`\`${verb}\``) && line.includes(what))
    assert.ok(row, `${verb} ${what}`)
  }
})
