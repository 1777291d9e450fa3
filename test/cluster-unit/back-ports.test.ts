import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { V1Pod, V1Service, V1ServicePort } from '@kubernetes/client-node'
import fc from 'fast-check'
import { agentPorts, plainPorts, planPorts } from '../../src/cluster/back/ports.ts'
import { writtenSelector } from '../../src/cluster/back/record.ts'
import { serviceWarnings } from '../../src/cluster/back/warnings.ts'

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

test('two ports of the Service at one port of the pods: one listener, and a warning', () => {
  const service = serviceOf([
    { name: 'a', port: 80, targetPort: 8080 },
    { name: 'b', port: 81, targetPort: 8080 },
  ])
  const plan = planPorts(service, [], [{ port: 81 }])
  assert.match(plan.warnings[0], /^port 80 of Service web leads to the same port of the pods/)
  const [first, ...more] = agentPorts(plan, '10.96.0.7', false)
  assert.deepEqual([first.original?.port, more], [81, []])
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
      for (const [index, each] of plan.ports.entries()) {
        const target = ports[index].targetPort
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
