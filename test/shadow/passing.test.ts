// Connections that the agent serves without a client, and how they end with the pod.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { after, test } from 'node:test'
import { Passing } from '../../src/shadow/passing.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { until } from '../support/until.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const servers: Server[] = []
after(() => {
  for (const server of servers) server.close()
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

test('a drain ends what is idle, waits for what is not, and looks no more when it is over', async () => {
  const time = new VirtualTime()
  const passing = new Passing(time)
  let answerSlowly: (() => void) | undefined
  const original = await listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {}).on('end', () => socket.end())
      socket.on('data', (asked) => {
        if (asked.toString() !== 'slow') socket.write('answer')
        else answerSlowly = () => socket.write('late answer')
      })
    }),
  )
  const door = await listen(
    createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      passing.join(socket, { address: IpAddress.parse('127.0.0.1'), port: original })
    }),
  )
  const ask = async (text: string) => {
    const caller = connect(door, '127.0.0.1')
    let said = ''
    caller.on('data', (chunk) => (said += chunk.toString())).on('error', () => {})
    const ended = once(caller, 'end')
    caller.write(text)
    return { said: () => said, ended }
  }
  const quick = await ask('quick')
  const slow = await ask('slow')
  await until('one is answered, and the other has asked', () => quick.said() === 'answer' && answerSlowly !== undefined)
  let over = false
  const drained = passing.drain(60_000).then(() => {
    over = true
  })
  await time.run(50)
  await quick.ended
  assert.equal(over, false)
  answerSlowly!()
  await until('it is answered', () => slow.said() === 'late answer')
  await time.run(50)
  await slow.ended
  await until('it is over', () => over)
  await drained
  assert.equal(time.pending, 0)
})

test('a drain is over at its time limit, whatever is open, and looks no more', async () => {
  const time = new VirtualTime()
  const passing = new Passing(time)
  const leave = passing.count()
  const drained = passing.drain(1_000)
  await time.run(999)
  assert.equal(time.pending, 2)
  await time.run(2)
  await drained
  assert.equal(time.pending, 0)
  leave()
})
