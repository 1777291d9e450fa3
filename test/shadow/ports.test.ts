// KT_AGENT_PORTS: what it may say, and what is said of what it may not.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parsePorts, plainEndpoint } from '../../src/shadow/ports.ts'
import { formatEndpoint } from '../../src/wire/address.ts'

describe('the ports of the agent', () => {
  it('are read from JSON', () => {
    const [web, dns, ...none] = parsePorts(
      '[{"port":8080,"protocol":"TCP","http":true,"original":{"host":"10.96.3.4","port":80}},{"port":53,"protocol":"UDP"}]',
    )
    assert.deepEqual(
      [web.port, web.protocol, web.http, formatEndpoint(web.original!)],
      [8080, 'TCP', true, '10.96.3.4:80'],
    )
    assert.deepEqual(dns, { port: 53, protocol: 'UDP', http: false, original: undefined })
    assert.deepEqual(none, [])
    assert.deepEqual(parsePorts(undefined), [])
  })

  for (const [text, words] of [
    ['{', /KT_AGENT_PORTS is not JSON/],
    ['{}', /must be a list/],
    ['[1]', /\[0\]: an object is needed, not 1/],
    ['[{"port":80},{"port":70000}]', /\[1\]: port must be a number from 1 to 65535/],
    ['[{"port":80,"protocol":"SCTP"}]', /protocol must be TCP or UDP/],
    ['[{"port":80,"protocol":"UDP","http":true}]', /false for UDP/],
    ['[{"port":80,"original":{"host":"web","port":80}}]', /original needs host, an address, and port/],
    ['[{"port":80},{"port":80}]', /names TCP 80 twice/],
  ] as const)
    it(`cannot be ${text}`, () => assert.throws(() => parsePorts(text), words))

  it('see IPv4 callers of a socket for both families as IPv4', () => {
    assert.equal(formatEndpoint(plainEndpoint('::ffff:10.244.1.7', 4000)), '10.244.1.7:4000')
    assert.equal(formatEndpoint(plainEndpoint('fd00::7', 4000)), '[fd00::7]:4000')
  })
})
