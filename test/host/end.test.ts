// How a kt is ended that does not answer: whom the signals go to and in which order, in a time of the test's own.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endProcesses } from '../../src/daemon/helper/end.ts'
import { Journal } from '../../src/host/journal.ts'
import { HELPER_PID, Machine } from './machine.ts'

const UID = 1500
const ENGINE_PID = 5000
type Reaction = (signal: string) => void

/** A connected machine; `helper` and `engine` say what the two do with a signal. */
function connected(reactions: (machine: Machine) => { helper: Reaction; engine: Reaction }) {
  const machine = new Machine()
  machine.process(ENGINE_PID, '2000')
  const effects = machine.effects()
  Journal.create(UID, HELPER_PID, effects).startedEngine(ENGINE_PID)
  const { helper, engine } = reactions(machine)
  const sent: string[] = []
  let now = 0
  const clock = {
    now: () => now,
    after(ms: number, call: () => void) {
      now += ms
      queueMicrotask(call)
      return () => {}
    },
  }
  const kill = (pid: number, signal: string) => {
    sent.push(`${pid === HELPER_PID ? 'helper' : pid === ENGINE_PID ? 'engine' : pid} ${signal}`)
    ;(pid === HELPER_PID ? helper : engine)(signal)
  }
  return { machine, sent, ended: endProcesses(UID, { effects, clock, kill }), time: () => now }
}

test('both end when they are told: nobody is killed', async () => {
  const { machine, sent, ended } = connected((m) => ({
    helper: () => m.die(HELPER_PID),
    engine: () => m.die(ENGINE_PID),
  }))
  assert.deepEqual(await ended, ['kt, which still ran (process 5000 and 4242), was ended'])
  assert.deepEqual(sent, ['engine SIGTERM', 'helper SIGTERM'])
  machine.remove()
})

test('an engine that is stopped is killed at once, and its helper then ends by itself', async () => {
  const { machine, sent, ended, time } = connected((m) => {
    m.process(ENGINE_PID, '2000', 'T')
    return {
      helper: () => {},
      engine: (signal) => {
        if (signal !== 'SIGKILL') return
        m.die(ENGINE_PID)
        m.die(HELPER_PID)
      },
    }
  })
  assert.deepEqual(await ended, ["process 5000, kt's engine, which did not answer, was killed"])
  assert.deepEqual(sent, ['engine SIGTERM', 'helper SIGTERM', 'engine SIGKILL'])
  assert.ok(time() < 1000)
  machine.remove()
})

test('a helper that is stopped is killed at once, and the engine has its time to leave the cluster', async () => {
  let asked = 0
  const { machine, sent, ended } = connected((m) => {
    m.process(HELPER_PID, '1000', 'T')
    return {
      helper: (signal) => {
        if (signal === 'SIGKILL') m.die(HELPER_PID)
      },
      engine: () => {
        asked++
        queueMicrotask(() => queueMicrotask(() => m.die(ENGINE_PID)))
      },
    }
  })
  assert.deepEqual(await ended, ["process 4242, kt's helper, which did not answer, was killed"])
  assert.deepEqual(sent.slice(0, 2), ['engine SIGTERM', 'helper SIGTERM'])
  assert.ok(!sent.includes('engine SIGKILL'))
  assert.equal(asked, 1)
  machine.remove()
})

test('what hangs without being stopped is killed when its time is over, the engine first', async () => {
  const { machine, sent, ended, time } = connected((m) => ({
    helper: (signal) => signal === 'SIGKILL' && m.die(HELPER_PID),
    engine: (signal) => signal === 'SIGKILL' && m.die(ENGINE_PID),
  }))
  assert.equal((await ended).length, 2)
  assert.deepEqual(sent, ['engine SIGTERM', 'helper SIGTERM', 'engine SIGKILL', 'helper SIGKILL'])
  assert.ok(time() >= 9_000 && time() < 16_000, `${time()}`)
  machine.remove()
})

test('a later process with the number of the engine gets no signal, and one that cannot be killed holds nobody up', async () => {
  const { machine, sent, ended, time } = connected((m) => {
    m.process(ENGINE_PID, '9999')
    return { helper: () => {}, engine: () => assert.fail('a stranger') }
  })
  await ended
  assert.ok(sent.every((one) => one.startsWith('helper')))
  assert.ok(time() < 20_000)
  machine.remove()
})
