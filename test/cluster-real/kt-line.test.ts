// Faults of the line under load, the short form of `./dev chaos`: flows live, and the gap is short.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { faults, SHORT } from '../chaos/faults.ts'
import { underLoad } from '../chaos/run.ts'
import { World } from '../chaos/world.ts'
import { realCluster, realMachine } from '../support/machine.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const LAPTOP = 'line'

describe('a connection under faults', { skip }, () => {
  const laptop = realMachine(program, LAPTOP)
  const world = new World(program, LAPTOP, 'shop')
  before(async () => {
    await laptop.kt(['down'], { sudo: true })
    const up = await laptop.kt(['up', '-n', 'shop'], { sudo: true })
    assert.equal(up.code, 0, up.stderr)
  })
  after(async () => {
    if (!skip) await laptop.kt(['down'], { sudo: true })
  })

  for (const fault of faults.filter(({ name }) => SHORT.includes(name)))
    test(`${fault.name}: flows ${fault.live ? 'live' : 'are reset'}`, async () => {
      // A machine that is busy with other tests is slower; what `./dev chaos` allows is for a quiet one.
      const { wrong, gapMs } = await underLoad(world, { ...fault, mostMs: fault.mostMs + 1_500 })
      console.log(`${fault.name}: the gap was ${Math.round(gapMs)} ms`)
      assert.deepEqual(wrong, [])
    })
})
