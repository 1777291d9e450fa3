// What the DNS tests stand on: a clock that a test moves, a seeded source of numbers, and a resolver made of a table.

import DNS from 'dns2'
import type { Clock } from '../../src/base/clock.ts'
import { buildAnswer, buildQuery, questionWire } from '../../src/dns/build.ts'
import type { DnsUpstream } from '../../src/dns/interfaces.ts'
import { HEADER_LEN, nameText, nameWire, newQueryView, putU16, RCODE, readQuery, u16 } from '../../src/dns/message.ts'
import { typeCode, typeName } from '../../src/dns/records.ts'

export class VirtualClock implements Clock {
  #now = 1000
  readonly #timers = new Set<{ at: number; fire: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, fire: () => void): () => void {
    const timer = { at: this.#now + ms, fire }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Moves on, firing what is due in order, with promises settled in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const [next] = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)
      if (!next) break
      this.#timers.delete(next)
      this.#now = next.at
      next.fire()
      await settle()
    }
    this.#now = end
    await settle()
  }

  get pending(): number {
    return this.#timers.size
  }
}

/** Lets all promise reactions that are due run. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** mulberry32: 32 random bits a call, the same for the same seed. */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

export const query = (name: string, type = 'A', options?: Parameters<typeof buildQuery>[1]): Uint8Array =>
  buildQuery(questionWire(nameWire(name)!, typeCode(type)!), { edns: false, ...options })

/** Read by dns2, an implementation that is not ours. */
export const parse = (message: Uint8Array): DNS.Packet => {
  const packet = DNS.Packet.parse(Buffer.from(message))
  if (packet.errors.length > 0) throw packet.errors[0]
  return packet
}

type Records = Partial<DNS.Packet.Resource>[]

/** A resolver that answers from a table: `NAME TYPE` to records, `NAME` alone for names that exist. */
export class TableUpstream implements DnsUpstream {
  readonly name: string
  readonly asked: string[] = []
  closed = false
  /** Set to have queries wait or fail. */
  before: (question: string) => Promise<void> | undefined = () => undefined
  readonly #zone: string
  readonly #table: Record<string, Records | number>

  /** `zone`: owner of the SOA in negative answers, '' for none. A number in the table is an RCODE. */
  constructor(name: string, zone: string, table: Record<string, Records | number>) {
    this.name = name
    this.#zone = zone
    this.#table = table
  }

  async query(message: Uint8Array): Promise<Uint8Array> {
    const view = newQueryView()
    readQuery(message, 0, message.length, view)
    const wire = message.slice(HEADER_LEN, view.questionEnd)
    const name = nameText(wire)
    const question = `${name} ${typeName(view.type)}`
    this.asked.push(question)
    await this.before(question)
    const found = this.#table[question]
    if (typeof found === 'number') {
      const failure = buildAnswer(wire, found)
      putU16(failure, 0, view.id)
      return failure
    }
    const exists = found !== undefined || Object.keys(this.#table).some((key) => key.split(' ')[0] === name)
    const packet = new DNS.Packet()
    packet.header = new DNS.Packet.Header({ id: view.id, qr: 1, aa: 1, rd: 1, rcode: exists ? 0 : RCODE.NXDOMAIN })
    packet.questions.push(new DNS.Packet.Question(name, u16(wire, wire.length - 4), 1))
    const resource = (record: Partial<DNS.Packet.Resource>) =>
      ({ name, type: view.type, class: 1, ttl: 30, ...record }) as DNS.Packet.Resource
    packet.answers.push(...(found ?? []).map(resource))
    if (!found?.length && this.#zone)
      packet.authorities.push(
        resource({
          name: this.#zone,
          type: 6,
          primary: `ns.dns.${this.#zone}`,
          admin: `hostmaster.${this.#zone}`,
          serial: 1,
          refresh: 7200,
          retry: 1800,
          expiration: 86400,
          minimum: 30,
        }),
      )
    if (view.edns) packet.additionals.push(DNS.Packet.Resource.EDNS([]))
    return packet.toBuffer()
  }

  close(): void {
    this.closed = true
  }
}

export const clusterTable = {
  'web.shop.svc.cluster.local A': [{ address: '10.96.0.10' }],
  'web.shop.svc.cluster.local AAAA': [{ address: 'fd00:10:96::10' }],
  'single.shop.svc.cluster.local A': [{ address: '10.96.0.11' }],
  'web.other.svc.cluster.local A': [{ address: '10.96.1.10' }],
  'shop.svc.cluster.local': 0,
  'other.svc.cluster.local': 0,
  'db.shop.svc.cluster.local A': [{ address: '10.244.0.7' }, { address: '10.244.1.7' }],
  'db-0.db.shop.svc.cluster.local A': [{ address: '10.244.0.7' }],
  '_http._tcp.web.shop.svc.cluster.local SRV': [
    { priority: 0, weight: 50, port: 80, target: 'web.shop.svc.cluster.local' },
  ],
  'web.shop.svc.cluster.local TXT': [{ data: ['hello'] }],
  '10.0.96.10.in-addr.arpa PTR': [{ domain: 'web.shop.svc.cluster.local' }],
  'many.shop.svc.cluster.local A': Array.from({ length: 100 }, (_, i) => ({ address: `10.244.2.${i}` })),
} satisfies Record<string, Records | number>

export const localTable = {
  'www.example.com A': [{ address: '203.0.113.80', ttl: 300 }],
  'nas A': [{ address: '192.0.2.9', ttl: 300 }],
  'go.dev A': [{ address: '203.0.113.81' }],
  'web.corp.example A': [{ address: '192.0.2.1' }],
} satisfies Record<string, Records | number>
