import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { V1Pod, V1Service, V1ServicePort } from '@kubernetes/client-node'
import fc from 'fast-check'
import { agentPorts, plainPorts, planPorts, unservedPorts } from '../../src/cluster/inbound/ports.ts'
import { writtenSelector } from '../../src/cluster/inbound/record.ts'
import { serviceWarnings } from '../../src/cluster/inbound/warnings.ts'
import type { WantedPort } from '../../src/cluster/inbound-calls.ts'

const serviceOf = (ports: V1ServicePort[], spec: Partial<V1Service['spec']> = {}): V1Service => ({
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports, ...spec },
})
const podWith = (name: string, containerPort: number): V1Pod => ({
  spec: { containers: [{ name: 'c', ports: [{ name, containerPort }] }] },
})

test('the agent listens on the target ports, a named one with the number the pods give it', () => {
  const service = serviceOf([
    { name: 'http', port: 80, targetPort: 'http' },
    { name: 'admin', port: 81, targetPort: 9000 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ])
  const plan = planPorts(service, [podWith('http', 8080)], [{ port: 80 }, { port: 53 }])
  assert.deepEqual(plan.ports, [
    { name: 'http', port: 80, protocol: 'TCP', listen: 8080, exposed: true },
    { name: 'admin', port: 81, protocol: 'TCP', listen: 9000, exposed: false },
    { name: 'dns', port: 53, protocol: 'UDP', listen: 53, exposed: true },
  ])
  assert.deepEqual(plan.named, [{ name: 'http', port: 8080, protocol: 'TCP' }])
  assert.deepEqual(agentPorts(plan, '10.96.0.7', true), [
    { port: 8080, protocol: 'TCP', http: true, original: { host: '10.96.0.7', port: 80 } },
    { port: 53, protocol: 'UDP', http: false, original: { host: '10.96.0.7', port: 53 } },
    { port: 9000, protocol: 'TCP', http: false, original: { host: '10.96.0.7', port: 81 } },
  ])
})

test('two ports of the Service at one port of the pods: one listener, and the other is only said to come along', () => {
  const service = serviceOf([
    { name: 'a', port: 80, targetPort: 8080 },
    { name: 'b', port: 81, targetPort: 8080 },
    { name: 'c', port: 82, targetPort: 8082 },
  ])
  const plan = planPorts(service, [], [{ port: 81 }])
  assert.deepEqual(plan.warnings, [
    'port 80 of Service web leads to the same port of the pods as 81, so it comes here too',
  ])
  assert.deepEqual(
    plan.ports.map(({ port, exposed }) => [port, exposed]),
    [
      [81, true],
      [82, false],
    ],
  )
  const [first, second, ...more] = agentPorts(plan, '10.96.0.7', false)
  assert.deepEqual([first.original?.port, second.original?.port, more], [81, 82, []])
})

test('a port is wanted by its number, by its name, or by none where the Service has only one', () => {
  const two = serviceOf([
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'admin', port: 9000, targetPort: 'adm' },
  ])
  const one = serviceOf([{ port: 80, targetPort: 8080 }])
  const remotes = (service: V1Service, wanted: WantedPort) => planPorts(service, [], [wanted]).remotes
  assert.deepEqual(remotes(two, { port: 3000, name: 'http' }), [80])
  assert.deepEqual(remotes(two, { port: 3000, name: 'adm' }), [9000], 'or the name that the pods give it')
  assert.deepEqual(remotes(two, { port: 9000, implied: true }), [9000])
  assert.deepEqual(remotes(one, { port: 3000, implied: true }), [80])
  assert.throws(() => remotes(two, { port: 3000, implied: true }), {
    message: 'Service web has no port 3000',
    hint: 'its ports are 80/TCP (http), 9000/TCP (admin): use --expose LOCAL:REMOTE with one of them',
  })
  assert.throws(() => remotes(one, { port: 3000 }), { message: 'Service web has no port 3000' })
  assert.throws(() => remotes(two, { port: 3000, name: 'grpc' }), { message: 'Service web has no port grpc' })
  const both = [{ port: 80 }, { port: 3000, name: 'http' }]
  assert.throws(() => planPorts(two, [], both), { message: 'port 80 is exposed twice' })
})

test('a port’s name is also looked for in native sidecars, and not in init containers that end', () => {
  const ports = [{ name: 'proxy', containerPort: 15_001 }]
  const pod = (restartPolicy: string | undefined): V1Pod => ({
    spec: { containers: [{ name: 'c' }], initContainers: [{ name: 'i', restartPolicy, ports }] },
  })
  const service = serviceOf([{ port: 80, targetPort: 'proxy' }])
  assert.equal(planPorts(service, [pod('Always')], [{ port: 80 }]).ports[0].listen, 15_001)
  assert.equal(planPorts(service, [pod(undefined)], [{ port: 80 }]).ports[0].listen, 80)
})

test('in scale mode every port of every Service at those pods must be served by what is exposed', () => {
  const web = serviceOf([
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'alias', port: 81, targetPort: 8080 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ])
  const admin = { ...serviceOf([{ port: 443, targetPort: 9000 }]), metadata: { name: 'admin' } }
  const unserved = (...wanted: WantedPort[]) => unservedPorts([web, admin], [], planPorts(web, [], wanted))
  assert.deepEqual(unserved({ port: 80 }), ['53/UDP of Service web', '443 of Service admin'])
  assert.deepEqual(unserved({ port: 80 }, { port: 53 }), ['443 of Service admin'])
  assert.deepEqual(unservedPorts([web], [], planPorts(web, [], [{ port: 81 }, { port: 53 }])), [])
})

test('the same number for TCP and UDP is two ports; which is meant may be said', () => {
  const service = serviceOf([
    { name: 'tcp', port: 53, protocol: 'TCP' },
    { name: 'udp', port: 53, protocol: 'UDP' },
  ])
  const exposed = (wanted: { port: number; protocol?: 'UDP' }[]) =>
    planPorts(service, [], wanted).ports.map((port) => port.exposed)
  assert.deepEqual(exposed([{ port: 53 }]), [true, false])
  assert.deepEqual(exposed([{ port: 53, protocol: 'UDP' }]), [false, true])
  assert.deepEqual(exposed([{ port: 53 }, { port: 53, protocol: 'UDP' }]), [true, true])
})

test('SCTP is said not to be served', () => {
  const plan = planPorts(serviceOf([{ port: 80 }, { port: 7, protocol: 'SCTP' }]), [], [{ port: 80 }])
  assert.match(plan.warnings[0], /port 7 of Service web is SCTP/)
  assert.equal(plan.ports.length, 1)
})

test('whatever a Service asks for, no two listeners share a port, and the agent keeps one for itself', () => {
  const number = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom(2222, 2223, 20_000))
  const port = fc.record({
    port: number,
    protocol: fc.constantFrom('TCP', 'UDP'),
    targetPort: fc.oneof(number, fc.constantFrom('http', 'grpc', 'kt-ssh')),
  })
  const services = fc.uniqueArray(port, {
    minLength: 1,
    maxLength: 8,
    selector: ({ port, protocol }) => `${port}/${protocol}`,
  })
  fc.assert(
    fc.property(services, number, (ports, named) => {
      const pods = [podWith('http', named), podWith('grpc', named)]
      const [{ port, protocol }] = ports
      const plan = planPorts(serviceOf(ports), pods, [{ port, protocol: protocol as 'TCP' | 'UDP' }])
      const listeners = agentPorts(plan, '10.96.0.7', false).map((each) => `${each.protocol} ${each.port}`)
      assert.equal(new Set([...listeners, `TCP ${plan.sshPort}`]).size, listeners.length + 1)
      const targets = ports.map((each) => `${each.protocol} ${each.targetPort}`)
      assert.equal(listeners.length, new Set(targets).size)
      for (const each of plan.ports) {
        const target = ports.find((one) => one.port === each.port && one.protocol === each.protocol)!.targetPort
        if (typeof target === 'number') assert.equal(each.listen, target, 'a number cannot be moved')
      }
    }),
  )
})

test('without a Service what is wanted is listened on, and nobody is behind', () => {
  const plan = plainPorts([{ port: 2222 }, { port: 9, protocol: 'UDP' }])
  assert.notEqual(plan.sshPort, 2222)
  assert.ok(agentPorts(plan, undefined, false).every(({ original }) => original === undefined))
  assert.throws(() => plainPorts([{ port: 80 }, { port: 80 }]), { message: 'port 80 is exposed twice' })
})

test('the written selector has the old keys; one that only controllers may set is replaced by our own', () => {
  assert.deepEqual(writtenSelector({ app: 'web', tier: 'front' }, 'abcde'), { app: 'kt-abcde', tier: 'kt-abcde' })
  assert.deepEqual(writtenSelector({ 'job-name': 'x' }, 'abcde'), { 'kt/exchange': 'abcde' })
})

test('what of a Service will not work is said', () => {
  const said = (spec: Partial<V1Service['spec']>) => serviceWarnings({ service: serviceOf([{ port: 80 }], spec) })
  assert.deepEqual(said({}), [])
  assert.match(said({ clusterIP: 'None' })[0], /headless.*POD\.web/)
  assert.match(said({ externalTrafficPolicy: 'Local' })[0], /externalTrafficPolicy Local/)
  assert.match(said({ internalTrafficPolicy: 'Local' })[0], /internalTrafficPolicy Local/)
  assert.match(said({ sessionAffinity: 'ClientIP' })[0], /sessionAffinity ClientIP/)
})
