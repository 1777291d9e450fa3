import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterErrorCode } from '../../src/cluster/calls.ts'
import { fromStatus, fromTransport } from '../../src/cluster/errors.ts'

// What API servers answer, and what it becomes.
const statuses: [string, number, object | string, ClusterErrorCode, RegExp][] = [
  [
    'a missing right',
    403,
    {
      message:
        'jobs.batch is forbidden: User "ann" cannot create resource "jobs" in API group "batch" in the namespace "shop"',
    },
    'forbidden',
    /^user "ann" cannot create resource "jobs" in API group "batch" in the namespace "shop"$/,
  ],
  [
    'a quota',
    403,
    { message: 'jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: 0, limited: 0' },
    'admission',
    /exceeded quota: q/,
  ],
  [
    'a namespace on its way out',
    403,
    {
      message:
        'jobs.batch "x" is forbidden: unable to create new content in namespace a because it is being terminated',
    },
    'admission',
    /being terminated/,
  ],
  [
    'a webhook that says no',
    400,
    { message: 'admission webhook "policy.example.com" denied the request: images must come from\nour registry' },
    'admission',
    /making it: .*images must come from our registry/,
  ],
  [
    'a webhook that does not answer',
    500,
    { message: 'Internal error occurred: failed calling webhook "policy": context deadline exceeded' },
    'admission',
    /failed calling webhook "policy"/,
  ],
  [
    'a namespace that is not there',
    404,
    { message: 'namespaces "a" not found', details: { name: 'a', kind: 'namespaces' } },
    'namespace-missing',
    /no namespace "a"/,
  ],
  [
    'something else not there',
    404,
    { message: 'jobs.batch "x" not found', details: { kind: 'jobs' } },
    'gone',
    /"x" not found/,
  ],
  ['bad credentials', 401, { message: 'Unauthorized' }, 'credentials', /Unauthorized/],
  ['an API server in trouble', 503, 'upstream connect error', 'unreachable', /503.*upstream connect error/],
  ['an answer nobody expects', 418, {}, 'unreachable', /or what lies before it, answered 418/],
  ['a watch that is too old', 410, { message: 'too old resource version' }, 'gone', /too old/],
]
for (const [what, status, body, code, words] of statuses)
  test(`answer: ${what}`, () => {
    const error = fromStatus(status, body, 'making it')
    assert.equal(error.code, code)
    assert.match(error.message, words)
    assert.ok(error.hint.length > 0 && !error.message.includes('\n'))
  })

const way = { identity: { server: 'https://api' }, proxy: undefined, env: {} }
const failures: [string, string, ClusterErrorCode, RegExp][] = [
  ['ECONNREFUSED', 'connect', 'unreachable', /https:\/\/api refuses the connection/],
  ['ENOTFOUND', 'getaddrinfo', 'unreachable', /name that is not known/],
  ['EHOSTUNREACH', 'connect', 'unreachable', /no route to host/],
  ['ETIMEDOUT', 'connect', 'unreachable', /does not answer/],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', 'tls', /not trusted: self-signed/],
  ['ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames", 'tls', /altnames/],
  ['CERT_HAS_EXPIRED', 'certificate has expired', 'tls', /certificate has expired/],
  ['EPROTO', '0A0:error:wrong version number:ssl', 'tls', /https:\/\/api does not speak TLS$/],
  ['HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/', 'unreachable', /does not speak HTTP/],
  ['', 'Bad response: 407', 'unreachable', /Bad response: 407/],
]
for (const [code, message, expected, words] of failures)
  test(`connection: ${code || message}`, () => {
    const error = fromTransport(Object.assign(new Error(message), { code }), way)
    assert.equal(error.code, expected)
    assert.match(error.message, words)
  })

test('a proxy is named, its password is not', () => {
  const { message } = fromTransport(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), {
    ...way,
    proxy: 'http://u:se/cr@et@p:1',
  })
  assert.match(message, /behind the proxy http:\/\/p:1 refuses/)
})

test('a value that the API server refuses is told without the regular expression it used', () => {
  const said = (message: string) => fromStatus(422, { message }, 'creating the Job x').message
  const quantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
  assert.equal(said(`Job in version "v1" cannot be handled as a Job: ${quantity}`).includes('[0-9'), false)
  const label = `Invalid value: "a b": a valid label must consist of letters (e.g. 'MyValue', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
  assert.match(said(label), /letters \(e\.g\. 'MyValue'\)$/)
})
