// What the agent is asked to dial: addresses only, since a name would be looked up in the pod with nobody's policy.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RelaySet } from '../../src/shadow/relay.ts'
import { OpenFailure, type OpenRequest } from '../../src/tunnel/ssh/internals.ts'
import type { ChannelMux } from '../../src/tunnel/ssh/mux.ts'

for (const [what, destIP, destPort] of [
  ['a name', 'localhost', 9],
  ['an empty name', '', 9],
  ['half an address', '127.1', 9],
  ['port 0', '127.0.0.1', 0],
  ['a port above the last', '127.0.0.1', 65_536],
] as const)
  test(`${what} is refused and not dialled`, () => {
    const refused: [number, string][] = []
    const mux = { refuse: (_: OpenRequest, reason: number, why: string) => void refused.push([reason, why]) }
    const relays = new RelaySet()
    const request = { sender: 1, window: 1, packetSize: 1, data: { destIP, destPort } } as OpenRequest
    relays.open(mux as unknown as ChannelMux, request)
    assert.deepEqual(refused, [[OpenFailure.prohibited, 'only addresses can be dialled']])
    assert.equal(relays.size, 0)
  })
