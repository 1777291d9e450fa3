// What flags make of their values, and what they say of those that Kubernetes would refuse.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import { whoCalls } from '../../src/cli/caller.ts'
import { exposedPorts } from '../../src/cli/commands/expose.ts'
import {
  amounts,
  annotations,
  imageName,
  labels,
  objectName,
  objectNames,
  tolerations,
} from '../../src/cli/commands/pod-values.ts'
import { shadowConfig, withShadowOptions } from '../../src/cli/commands/shadow-options.ts'

test('a toleration has the parts that kubectl taint has', () => {
  assert.deepEqual(tolerations('dedicated=gpu:NoSchedule'), [
    { key: 'dedicated', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' },
  ])
  assert.deepEqual(tolerations('example.com/spot'), [{ key: 'example.com/spot', operator: 'Exists' }])
  assert.deepEqual(tolerations('spot:NoExecute', tolerations('a=')), [
    { key: 'a', operator: 'Equal', value: '' },
    { key: 'spot', operator: 'Exists', effect: 'NoExecute' },
  ])
  for (const [text, says] of [
    ['=gpu', /KEY\[=VALUE\]\[:EFFECT\]/],
    ['a b', /KEY\[=VALUE\]\[:EFFECT\]/],
    ['spot:Never', /NoSchedule, PreferNoSchedule, NoExecute/],
    ['spot:', /NoSchedule, PreferNoSchedule, NoExecute/],
  ] as const)
    assert.throws(() => tolerations(text), says, text)
})

test('resources are amounts', () => {
  assert.deepEqual(amounts('cpu=100m,memory=64Mi'), { cpu: '100m', memory: '64Mi' })
  assert.deepEqual(amounts('cpu=.5', { memory: '1e9' }), { cpu: '.5', memory: '1e9' })
  assert.throws(() => amounts('cpu=lots'), /cpu is an amount like 100m or 0.5, not "lots"/)
  assert.throws(() => amounts('memory=64MB'), /memory is an amount like 64Mi or 1Gi, not "64MB"/)
  assert.throws(() => amounts('cpu='), /amount/)
})

test('the port there is a number, a name, or left to the Service', () => {
  assert.deepEqual(exposedPorts('8080:80,53/udp'), [
    { local: 8080, remote: 80 },
    { local: 53, remote: 53, implied: true, protocol: 'UDP' },
  ])
  assert.deepEqual(exposedPorts('8080:http'), [{ local: 8080, remote: 8080, name: 'http' }])
  // The same number here and another one there are two ports.
  assert.equal(exposedPorts('8080:http,9090:8080').length, 2)
  assert.throws(() => exposedPorts('8080:http,8081:http'), /port http is exposed twice/)
  assert.throws(() => exposedPorts('8080:'), /expected LOCAL/)
  assert.throws(() => exposedPorts('http:80'), /expected LOCAL/)
})

test('labels, annotations and names are what Kubernetes takes, and what it does not is said in words', () => {
  assert.deepEqual(labels('tier=front,example.com/team=', { a: 'b' }), {
    a: 'b',
    tier: 'front',
    'example.com/team': '',
  })
  assert.deepEqual(annotations('example.com/note=any words: at all'), { 'example.com/note': 'any words: at all' })
  assert.deepEqual(objectNames('registry.internal', ['other']), ['other', 'registry.internal'])
  assert.equal(imageName('registry:5000/a/b@sha256:0f'), 'registry:5000/a/b@sha256:0f')
  for (const [parse, text, says] of [
    [labels, 'tier=a b', /the value of tier is at most 63 letters.*not "a b"/],
    [labels, `tier=${'x'.repeat(64)}`, /at most 63/],
    [labels, 'a b=c', /a key is a name like tier.*not "a b"/],
    [annotations, '-a=c', /a key is a name/],
    [objectName, 'Bot', /lower-case letters.*not "Bot"/],
    [objectName, 'a..b', /lower-case/],
    [objectName, '', /lower-case/],
    [objectNames, 'a b', /not "a b"/],
    [imageName, 'a b', /name of an image/],
    [imageName, '', /name of an image/],
  ] as [(text: string) => unknown, string, RegExp][])
    assert.throws(() => parse(text), says, text)
})

test('what is asked of the shadow is what the daemon is told', () => {
  const asked = (...words: string[]) => {
    const command = withShadowOptions(new Command('up')).parse(words, { from: 'user' })
    return shadowConfig(command.opts(), whoCalls())
  }
  assert.equal(asked().lineWaitS, undefined)
  assert.equal(asked('--line-wait', '28800').lineWaitS, 28_800)
  assert.equal(asked('--ready-timeout', '7').readyTimeoutS, 7)
})
