// What the DNS server costs: answers from the cache (one name, 10,000 names; EDNS or not) and questions that have to be
// asked of a resolver on this machine's loopback. Run: node bench/dns.ts
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Clock } from '../src/base/clock.ts'
import { buildAnswer, buildQuery, questionWire } from '../src/dns/build.ts'
import { createDnsServer } from '../src/dns/dns-server.ts'
import type { DnsUpstream } from '../src/dns/interfaces.ts'
import { localUpstream } from '../src/dns/local-upstream.ts'
import { HEADER_LEN, nameWire, newQueryView, putU16, readQuery } from '../src/dns/message.ts'

const clock: Clock = {
  now: () => performance.now(),
  after: (ms, fire) => {
    const timer = setTimeout(fire, ms)
    return () => clearTimeout(timer)
  },
}
const random = () => Math.floor(Math.random() * 2 ** 32)
const names = {
  clusterDomain: 'cluster.local',
  namespace: 'shop',
  namespaces: ['shop'],
  reverseRanges: ['10.96.0.0/16'],
  localSearch: [],
}

function answerTo(query: Uint8Array): Uint8Array {
  const view = newQueryView()
  readQuery(query, 0, query.length, view)
  const answer = buildAnswer(query.slice(HEADER_LEN, view.questionEnd), 0, [Uint8Array.of(10, 96, 0, 1)], 3600)
  putU16(answer, 0, view.id)
  return answer
}

const memory: DnsUpstream = { name: 'memory', query: async (message) => answerTo(message), close() {} }

async function hits(count: number, edns: boolean): Promise<number> {
  const server = createDnsServer({ names, mode: 'none', clock, random, local: memory, cluster: memory })
  const queries = Array.from({ length: count }, (_, i) =>
    buildQuery(questionWire(nameWire(`service-${i}.shop.svc.cluster.local`)!, 1), { edns }),
  )
  for (const query of queries)
    await new Promise<void>((resolve) => server.handle(query, 0, query.length, 'udp', () => resolve()))
  let bytes = 0
  const reply = (answer: Uint8Array) => {
    bytes += answer.length
  }
  const round = (rounds: number) => {
    for (let i = 0, at = 0; i < rounds; i++) {
      server.handle(queries[at], 0, queries[at].length, 'udp', reply)
      if (++at === count) at = 0
    }
  }
  round(200_000)
  const started = performance.now()
  round(1_000_000)
  const seconds = (performance.now() - started) / 1000
  if (bytes === 0 || server.counters.fromCache !== 1_200_000) throw new Error('not answered from the cache')
  server.close()
  return 1_000_000 / seconds
}

async function misses(total: number, width: number): Promise<number> {
  const resolver = createSocket('udp4')
  resolver.on('message', (query, from) => resolver.send(answerTo(query), from.port, from.address))
  resolver.bind(0, '127.0.0.1')
  await once(resolver, 'listening')
  const local = localUpstream({ servers: [`127.0.0.1:${resolver.address().port}`], clock, random })
  const server = createDnsServer({ names, mode: 'none', clock, random, local })
  let next = 0
  let answered = 0
  const started = performance.now()
  await new Promise<void>((done) => {
    const one = () => {
      if (next === total) return
      const query = buildQuery(questionWire(nameWire(`host-${next++}.example.com`)!, 1))
      server.handle(query, 0, query.length, 'udp', () => {
        if (++answered === total) done()
        else one()
      })
    }
    for (let i = 0; i < width; i++) one()
  })
  const seconds = (performance.now() - started) / 1000
  if (server.counters.failed > 0) throw new Error(`${server.counters.failed} failed`)
  server.close()
  resolver.close()
  return total / seconds
}

const perSecond = (value: number) => `${Math.round(value).toLocaleString('en')} answers/s`
console.log(`cache hits, 1 name:              ${perSecond(await hits(1, false))}`)
console.log(`cache hits, 10,000 names:        ${perSecond(await hits(10_000, false))}`)
console.log(`cache hits, 10,000 names, EDNS:  ${perSecond(await hits(10_000, true))}`)
console.log(`misses, resolver on loopback:    ${perSecond(await misses(20_000, 50))}`)
