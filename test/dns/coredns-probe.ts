// Runs on a node of the test cluster, where CoreDNS can be reached: asks it through our server, over UDP and over a pool
// of TCP connections, and prints what came as JSON. Arguments: CoreDNS's address, and a public name to be asked for.
import { createConnection } from 'node:net'
import type { Clock } from '../../src/base/clock.ts'
import { createDnsServer } from '../../src/dns/dns-server.ts'
import type { DnsUpstream } from '../../src/dns/interfaces.ts'
import { localUpstream } from '../../src/dns/local-upstream.ts'
import { describeAnswer } from '../../src/dns/records.ts'
import { type DnsStreamHandler, streamUpstream } from '../../src/dns/stream-upstream.ts'
import { seeded, TableUpstream } from './support.ts'

const [address, publicName] = process.argv.slice(2)
const clock: Clock = {
  now: () => performance.now(),
  after: (ms, fire) => {
    const timer = setTimeout(fire, ms)
    return () => clearTimeout(timer)
  },
}
const random = seeded(Number(process.hrtime.bigint() & 0xffffffffn))

/** A stream of this machine's own, in the shape of the tunnel's. */
function openStream(handler: DnsStreamHandler) {
  const socket = createConnection({ host: address, port: 53 })
  socket.on('connect', () => handler.onOpen())
  socket.on('data', (chunk) => handler.onData(chunk))
  socket.on('end', () => handler.onEnd())
  socket.on('error', () => {})
  socket.on('close', () => handler.onClose('closed'))
  return {
    write(buffer: Uint8Array, start: number, end: number) {
      socket.write(buffer.slice(start, end))
      return end - start
    },
    reset: () => socket.resetAndDestroy(),
    consumed() {},
  }
}

const questions = [
  'web A',
  'web AAAA',
  'web.shop A',
  'web.shop.svc A',
  'web.shop.svc.cluster.local A',
  'db A',
  'db-0.db A',
  'db-0.db.shop A',
  'db-0.db.shop AAAA',
  '_http._tcp.web.shop SRV',
  'web TXT',
  'kube-dns.kube-system A',
  'nope.shop A',
  'nope.shop.svc A',
  `${publicName} A`,
  '10.0.96.10.in-addr.arpa PTR',
]

async function run(cluster: DnsUpstream) {
  const local = new TableUpstream('the laptop', 'test', { [`${publicName} A`]: [{ address: '203.0.113.80' }] })
  const names = {
    clusterDomain: 'cluster.local',
    namespace: 'shop',
    namespaces: [],
    reverseRanges: ['10.96.0.0/16', '10.244.0.0/16'],
    localSearch: [],
  }
  const server = createDnsServer({ names, mode: 'resolvconf', clock, random, local, cluster })
  const results: Record<string, unknown> = {}
  for (const question of questions) {
    const [name, type] = question.split(' ')
    const { answer, decision } = await server.ask(name, type)
    const described = await describeAnswer(answer)
    results[question] = { rcode: described.rcode, answers: described.answers, rule: decision.rule }
  }
  const result = { results, toLaptop: local.asked, domains: server.domains() }
  server.close()
  return result
}

const udp = await run(localUpstream({ servers: [address], clock, random }))
const tcp = await run(streamUpstream({ name: address, open: openStream, clock, random }))
console.log(JSON.stringify({ udp, tcp }))
