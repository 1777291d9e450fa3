import assert from 'node:assert/strict'
import { datagramUpstream } from '../../../src/dns/datagram-upstream.ts'
import { createDnsServer } from '../../../src/dns/dns-server.ts'
import { newQueryView, readQuery, scanAnswer, u16 } from '../../../src/dns/message.ts'
import { streamUpstream } from '../../../src/dns/stream-upstream.ts'
import { frame } from '../../../src/dns/tcp.ts'
import { seeded } from '../../dns/support.ts'
import { VirtualTime } from '../../support/virtual-time.ts'
import type { Area, Subject } from '../area.ts'
import { message } from '../dns-messages.ts'
import type { Random } from '../random.ts'
import { joinSteps, readSteps, type Step } from '../steps.ts'

/** Kinds of steps: a client's query over UDP or TCP, and what the resolvers say to the next query they get. */
const ASK = 0
const ASK_TCP = 1
/** As it is, under another question and id. */
const SAYS = 2
/** With the id and the question of what was asked. */
const SAYS_FITTING = 3
const FAILS = 4
/** All upstreams give up after 3 s; several are asked in turn. */
const LONGEST_MS = 60_000

/** What a resolver says to `query`. */
function words(step: Step | undefined, query: Uint8Array): Uint8Array | undefined {
  if (!step) return undefined
  if (step.kind !== SAYS_FITTING || step.body.length < 12) return step.body
  const view = newQueryView()
  readQuery(query, 0, query.length, view)
  const own = newQueryView()
  const outcome = readQuery(
    Uint8Array.from(step.body, (octet, i) => (i === 2 ? octet & 0x7f : octet)),
    0,
    step.body.length,
    own,
  )
  const rest = outcome === 'ok' ? step.body.subarray(own.questionEnd) : step.body.subarray(12)
  const head = Buffer.from(step.body.subarray(0, 12))
  head.set(query.subarray(0, 2))
  head[2] |= 0x80
  head.writeUInt16BE(1, 4)
  return Buffer.concat([head, query.subarray(view.nameStart, view.questionEnd), rest])
}

function start(): Subject {
  return {
    async attempt(input) {
      const clock = new VirtualTime()
      const random = seeded(input.length)
      const steps = readSteps(input)
      const script = steps.filter(({ kind }) => kind >= SAYS)
      const next = () => script.shift()
      const tcp = (name: string) =>
        streamUpstream({
          name,
          clock,
          random,
          open: (handler) => {
            clock.after(1, () => handler.onOpen())
            return {
              write(buffer, from, to) {
                const step = next()
                const said = words(step, buffer.subarray(from + 2, to))
                clock.after(1, () => {
                  if (step?.kind === FAILS) handler.onClose('reset')
                  else if (said) handler.onData(step?.kind === SAYS ? said : frame(said.subarray(0, 0xffff)))
                })
                return to - from
              },
              reset() {},
              consumed() {},
            }
          },
        })
      const cluster = datagramUpstream({
        name: 'the cluster',
        clock,
        random,
        tcp: tcp('the cluster over TCP'),
        open: (handler) => ({
          send(payload) {
            const step = next()
            const said = words(step, payload)
            clock.after(1, () => {
              if (step?.kind === FAILS) handler.onFail('lost')
              else if (said) handler.onDatagram(said)
            })
          },
          close() {},
        }),
      })
      const names = {
        clusterDomain: 'cluster.local',
        namespace: 'shop',
        namespaces: [],
        reverseRanges: ['10.96.0.0/16'],
        localSearch: ['corp.example'],
      }
      const server = createDnsServer({ names, mode: 'resolvconf', clock, random, local: tcp('the laptop'), cluster })
      const waiting = steps
        .filter(({ kind }) => kind === ASK || kind === ASK_TCP)
        .map(({ kind, body }) => client(server, kind === ASK ? 'udp' : 'tcp', body))
      await clock.runUntil(() => waiting.every((each) => each.done()), LONGEST_MS)
      for (const each of waiting) each.check()
      assert.ok(server.domains().every((domain) => /^[a-z0-9_.~-]+$/.test(domain)))
      server.close()
      await clock.run(LONGEST_MS)
      assert.equal(clock.pending, 0, 'timers are left')
    },
  }
}

/** A client that asks, and what it must get: one answer to its own question, if what it said deserves one. */
function client(server: ReturnType<typeof createDnsServer>, transport: 'udp' | 'tcp', body: Buffer) {
  const view = newQueryView()
  const query = new Uint8Array(body)
  const deserves = readQuery(query, 0, query.length, view) !== 'drop'
  const size = transport === 'tcp' ? 0xffff : Math.min(4096, Math.max(512, view.udpSize))
  const answers: Buffer[] = []
  server.handle(query, 0, query.length, transport, (answer) => answers.push(Buffer.from(answer)))
  return {
    done: () => answers.length > 0 || !deserves,
    check() {
      assert.equal(answers.length, deserves ? 1 : 0, 'answers of a query')
      for (const answer of answers) {
        assert.equal(u16(answer, 0), u16(query, 0))
        assert.ok(answer.length <= size, `${answer.length} octets for a client that takes ${size}`)
        if (u16(answer, 4) === 1) assert.equal(scanAnswer(answer)?.end, answer.length)
        else assert.equal(answer[3] & 15, answer[3] & 15 || 1, 'an answer without a question is an error')
      }
    },
  }
}

function step(random: Random): Step {
  if (random.chance(35)) return { kind: random.chance(80) ? ASK : ASK_TCP, body: message(random, false) }
  const kind = random.pick([SAYS, SAYS_FITTING, SAYS_FITTING, SAYS_FITTING, FAILS])
  return { kind, body: kind === FAILS ? Buffer.alloc(0) : message(random, true) }
}

export default {
  about: 'the DNS server with resolvers that answer anything: every client gets one answer to its question, in time',
  make: (random) => joinSteps(Array.from({ length: 2 + random.int(10) }, () => step(random))),
  start,
} satisfies Area
