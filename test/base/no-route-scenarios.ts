// Run by datagram-socket.test.ts in a network namespace that has nothing but an IPv4 loopback: node no-route-scenarios.ts NAME.
// Each user of datagrams meets addresses that it cannot reach. An error that nobody handles ends this program.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { LocalTarget } from '../../src/daemon/inbound/local.ts'
import { Complaints } from '../../src/daemon/inbound/once.ts'
import { MACHINE } from '../../src/daemon/inbound/program-network.ts'
import { buildQuery, questionWire } from '../../src/dns/build.ts'
import { localUpstream } from '../../src/dns/local-upstream.ts'
import { nameWire, TYPE } from '../../src/dns/message.ts'
import { UdpFlows } from '../../src/shadow/udp.ts'
import type { TunnelDatagrams } from '../../src/tunnel/tunnel.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { createLoopbackTunnel } from '../support/loopback-tunnel.ts'

const unreachable = ['127.255.255.255', '198.51.100.53', '2001:db8::1', 'fe80::1', '::1']
const clock = {
  now: () => performance.now(),
  after: (ms: number, fire: () => void) => {
    const timer = setTimeout(fire, ms)
    return () => clearTimeout(timer)
  },
}

const scenarios: Record<string, () => Promise<void>> = {
  async resolver() {
    for (const server of unreachable) {
      const upstream = localUpstream({ servers: [server], clock, random: () => 5 })
      const query = buildQuery(questionWire(nameWire('www.example.com')!, TYPE.A))
      await assert.rejects(upstream.query(query, 'udp'), { code: 'timeout' }, server)
      upstream.close()
    }
  },

  async agent() {
    const gone = new Map<number, string | undefined>()
    const flows = new UdpFlows({ onDatagram: () => assert.fail(), onGone: (id, errno) => gone.set(id, errno) }, clock)
    const far = createSocket('udp4')
    far.bind(0, '127.0.0.1')
    await once(far, 'listening')
    const good = once(far, 'message')
    for (const [id, address] of unreachable.entries()) {
      flows.open(id, IpAddress.parse(address), 7, Buffer.from('x'))
      flows.send(id, Buffer.from('y'))
    }
    flows.open(100, IpAddress.parse('127.0.0.1'), far.address().port, Buffer.from('good'))
    assert.equal(String((await good)[0]), 'good')
    while (gone.size < unreachable.length) await new Promise(setImmediate)
    assert.equal(gone.get(0), 'EACCES')
    assert.equal(flows.size, 1)
    flows.closeAll()
    far.close()
  },

  async holder() {
    const said: string[] = []
    const counters = { total: 0, refused: 0, bytesIn: 0, bytesOut: 0 }
    const target = new LocalTarget({
      network: MACHINE,
      ...{ local: 9, remote: 53, fallback: false, counters, addresses: () => [] },
      complaints: new Complaints((line) => said.push(line)),
    })
    // One try after the other: the second one takes the other family.
    for (let i = 1; i <= 4; i++) {
      const closed = new Promise<void>((resolve) => {
        target.onDatagrams({
          ...{ port: 53, origin: { address: IpAddress.parse('10.244.0.9'), port: 4000 }, refuse: assert.fail },
          accept(handler) {
            queueMicrotask(() => handler.onDatagram(Buffer.from('x')))
            return { send: assert.fail, close: resolve } as unknown as TunnelDatagrams
          },
        })
      })
      await closed
      assert.equal(counters.refused, i)
    }
    assert.deepEqual(said, ['nothing listens on localhost:9; datagrams to port 53 are dropped until something does'])
  },

  async loopback() {
    const tunnel = createLoopbackTunnel()
    for (const address of unreachable) {
      const reason = await new Promise((resolve) => {
        const flow = tunnel.openDatagrams(
          { address: IpAddress.parse(address), port: 7 },
          { onDatagram: () => assert.fail(), onFail: resolve },
        )
        flow.send(Buffer.from('x'))
      })
      assert.ok(reason, address)
    }
    await tunnel.close()
  },
}

await scenarios[process.argv[2]]()
console.log('lives')
