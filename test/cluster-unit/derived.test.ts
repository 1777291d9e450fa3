// Names that kt derives from other names: Kubernetes accepts each, people recognise it, and no two things share one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { leaseName, secondName } from '../../src/cluster/inbound/derived.ts'

const DNS_LABEL = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/
const version = (value: string, header = 'kt-version', prefix = false) => ({ header, value, prefix })

test('a name shows what it is about', () => {
  assert.match(leaseName('exchange', 'web'), /^kt-exchange-web-[0-9a-f]{10}$/)
  assert.match(leaseName('exchange', 'deployment/web'), /^kt-exchange-deployment-web-[0-9a-f]{10}$/)
  assert.match(leaseName('mesh', 'web', version('Ann B')), /^kt-mesh-web-ann-b-[0-9a-f]{10}$/)
  assert.match(secondName('web', 'abcde'), /^web-kt-original-[0-9a-f]{10}$/)
})

test('what differs in anything has another name', () => {
  const long = 'a-service-with-a-name-so-long-that-it-fills-all-there-is-'
  const names = [
    leaseName('exchange', 'deployment/web'),
    leaseName('exchange', 'deployment-web'),
    leaseName('run', 'deployment-web'),
    leaseName('exchange', `${long}one`),
    leaseName('exchange', `${long}two`),
    leaseName('mesh', 'web', version('api-v2')),
    leaseName('mesh', 'web-api', version('v2')),
    leaseName('mesh', 'web', version('api-v2', 'x-team')),
    leaseName('mesh', 'web', version('api-v2', 'kt-version', true)),
    ...['a', 'A', 'a b', 'a-b', 'a.b', 'ä', '!', '-a', 'a-'].map((value) => leaseName('mesh', 'web', version(value))),
    secondName(`${long}one`, 'abcde'),
    secondName(`${long}two`, 'abcde'),
    secondName(`${long}two`, 'abcdf'),
  ]
  assert.equal(new Set(names).size, names.length)
})

test('every name is a DNS label, and is the same each time', () => {
  const text = fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' })
  const service = fc.stringMatching(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/)
  fc.assert(
    fc.property(service, text, text, fc.boolean(), (name, header, value, prefix) => {
      for (const make of [
        () => leaseName('exchange', `statefulset/${name}`),
        () => leaseName('mesh', name, { header, value, prefix }),
        () => secondName(name, 'abcde'),
      ]) {
        assert.match(make(), DNS_LABEL)
        assert.equal(make(), make())
      }
    }),
  )
})
