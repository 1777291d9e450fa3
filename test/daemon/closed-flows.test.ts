import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClosedFlows } from '../../src/daemon/closed-flows.ts'
import type { TcpFlow } from '../../src/stack/api.ts'
import { IpAddress } from '../../src/wire/address.ts'

const end = (address: string, port: number) => ({ address: IpAddress.parse(address), port })
const flow = (id: number, openedAt: number) =>
  ({
    id,
    protocol: 'tcp',
    local: end('10.96.0.7', 80),
    remote: end('198.18.0.1', 40_000 + id),
    bytesSent: 100,
    bytesReceived: 7,
    openedAt,
  }) as unknown as TcpFlow

test('flows that ended are listed for a minute, newest first, with how and after how long', () => {
  let now = 1_000
  const closed = new ClosedFlows(() => now)
  closed.add(flow(1, 400), 'closed')
  now = 31_000
  closed.add(flow(2, 30_900), 'refused')
  now = 32_000
  const brief = () => closed.list(undefined).map(({ id, state, ageMs, closedMs }) => [id, state, ageMs, closedMs])
  assert.deepEqual(brief(), [
    [2, 'refused', 100, 1_000],
    [1, 'closed', 600, 31_000],
  ])
  const [{ local, remote, bytesIn, bytesOut, process, name }] = closed.list(undefined)
  assert.deepEqual(
    [local, remote, bytesIn, bytesOut, process, name],
    ['198.18.0.1:40002', '10.96.0.7:80', 100, 7, null, null],
  )
  now = 61_000
  assert.deepEqual(brief(), [[2, 'refused', 100, 30_000]])
})

test('of a busy minute the last 500 are kept', () => {
  const closed = new ClosedFlows(() => 0)
  for (let id = 1; id <= 5_000; id++) closed.add(flow(id, 0), 'closed')
  const list = closed.list(undefined)
  assert.deepEqual([list.length, list[0].id, list.at(-1)!.id], [500, 5_000, 4_501])
})
