// How many connections the agent takes, and what an exception that nobody handles costs.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { describe, it, test } from 'node:test'
import { promisify } from 'node:util'
import { systemClock } from '../../src/base/clock.ts'
import { Admission } from '../../src/shadow/admission.ts'
import { Claims } from '../../src/shadow/claims.ts'
import { EmptyAnswer } from '../../src/shadow/empty-answer.ts'
import { collectGarbage, FloodWatch } from '../../src/shadow/give-back.ts'
import { servePorts } from '../../src/shadow/port-server.ts'
import { RelaySet } from '../../src/shadow/relay.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { until } from '../support/until.ts'
import { freePort } from '../tunnel/shadows.ts'

const address = (text: string) => IpAddress.parse(text)

describe('connections to the agent', () => {
  it('of one address leave room for others, and leave it when they end', () => {
    const admission = new Admission(3, 2)
    const leave = [admission.admit(address('10.0.0.1')), admission.admit(address('10.0.0.1'))]
    assert.ok(leave[0] && leave[1])
    assert.equal(admission.admit(address('10.0.0.1')), undefined)
    assert.ok(admission.admit(address('fd00::1')))
    assert.equal(admission.admit(address('10.0.0.2')), undefined)
    assert.equal(admission.refused, 2)
    leave[0]()
    assert.ok(admission.admit(address('10.0.0.2')))
    assert.equal(admission.admit(address('10.0.0.3')), undefined)
  })

  it('are 4,096 at most and 1,024 of one address when nothing else is said, and nothing is kept of those that ended', () => {
    const admission = new Admission()
    const leave: (() => void)[] = []
    const admitted = (from: string) => {
      for (let count = 0; ; count++) {
        const one = admission.admit(address(from))
        if (!one) return count
        leave.push(one)
      }
    }
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((i) => admitted(`10.0.0.${i}`)),
      [1024, 1024, 1024, 1024, 0],
    )
    assert.equal(admission.refused, 5)
    for (const one of leave) one()
    assert.equal(admission.size, 0)
    assert.equal(admission.addresses, 0)
  })

  for (const http of [true, false])
    it(`beyond the limit are reset, and those that end make room (${http ? 'HTTP' : 'any protocol'})`, async () => {
      const held = createServer((socket) => socket.on('error', () => {}).resume())
      await new Promise<void>((resolve) => held.listen(0, '127.0.0.1', resolve))
      const original = { address: address('127.0.0.1'), port: (held.address() as { port: number }).port }
      const port = await freePort()
      const claims = new Claims([{ port, protocol: 'TCP', http, original }], () => {})
      const served = await servePorts({
        claims,
        relays: new RelaySet(),
        emptyAnswer: new EmptyAnswer(systemClock),
        firstClaimMs: 0,
        clock: systemClock,
        log: () => {},
        admission: new Admission(10, 2),
      })
      const dial = () => {
        const socket = connect(port, '127.0.0.1').on('error', () => {})
        const state = { socket, closed: false }
        socket.on('close', () => (state.closed = true))
        return state
      }
      const many = [dial(), dial(), dial()]
      await until('the third is reset', () => many.filter(({ closed }) => closed).length === 1)
      for (const { socket } of many) socket.resetAndDestroy()
      await until('there is room again', async () => {
        const again = dial()
        await new Promise((resolve) => setTimeout(resolve, 50))
        again.socket.destroy()
        return !again.closed
      })
      served.close()
      held.close()
    })
})

test('memory is given back once when a flood of connections is over, and not for a few', () => {
  let collected = 0
  const watch = new FloodWatch(() => collected++)
  const checks = (opened: number, now: number) => {
    watch.opened(opened)
    watch.check(now)
    return collected
  }
  assert.equal(checks(200, 0), 0)
  assert.equal(checks(3000, 2000), 0)
  assert.equal(checks(0, 100), 1)
  assert.equal(checks(0, 0), 1)
  assert.equal(checks(400, 10), 2)
  collectGarbage()
})

test('an exception that nobody handles cuts the connection in whose course it is thrown, and no other', async () => {
  // In a process of its own: in this one, the test runner takes such exceptions.
  const program = `
    import { inCourseOf, takeUnhandled } from ${JSON.stringify(new URL('../../src/shadow/last-resort.ts', import.meta.url).href)}
    takeUnhandled((line) => console.log(line.split('\\n')[0]), () => process.argv[1] === 'starting')
    const go = (name, work) => inCourseOf(name, () => console.log('cut', name), work)
    go('one', () => setTimeout(() => { throw new Error('timer') }, 1))
    go('two', () => void (async () => { await new Promise((r) => setTimeout(r, 20)); throw new Error('rejection') })())
    setTimeout(() => { throw new Error('nobody') }, 40)
    go('three', () => setTimeout(() => { throw null }, 60))
    setTimeout(() => console.log('still here'), 100)`
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, ...args], { timeout: 20_000 })
  const { stdout } = await run()
  assert.deepEqual(stdout.trim().split('\n'), [
    'internal error 1, ends one: Error: timer',
    'cut one',
    'internal error 2, ends two: Error: rejection',
    'cut two',
    'internal error 3, ends no connection: Error: nobody',
    'internal error 4, ends three: null',
    'cut three',
    'still here',
  ])
  await assert.rejects(run('starting'), { code: 1 })
})
