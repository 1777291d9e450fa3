// The cluster's resolver over datagrams through the tunnel (the agent's shadow): one flow for all queries, retransmission
// since both the tunnel's queue and the cluster's network may drop, TCP for what does not fit. When many queries are under way
// they are sent several at a time, which the tunnel carries as one message.
import type { Clock } from '../base/clock.ts'
import type { DnsUpstream } from './interfaces.ts'
import { putU16, u16 } from './message.ts'
import { isTruncated, type Outstanding, OutstandingQueries, UpstreamError } from './upstream.ts'

/** A datagram flow to the resolver; TunnelDatagrams of src/tunnel is one. */
export interface DnsDatagrams {
  send(payload: Uint8Array): void
  close(): void
}

export interface DnsDatagramHandler {
  onDatagram(payload: Uint8Array): void
  onFail(reason: string): void
}

export interface DatagramUpstreamOptions {
  name: string
  /** Opens the flow: `(handler) => tunnel.openDatagrams(target, handler)`. Again after it failed. */
  open: (handler: DnsDatagramHandler) => DnsDatagrams
  /** For truncated answers; the same resolver over TCP. */
  tcp: DnsUpstream
  clock: Clock
  random: () => number
}

// A cluster's resolver answers from memory, so a query without an answer after this time was probably lost. On a slow or
// full connection a second query would only make the queue longer, so there the wait grows with the measured latency
// (RFC 6298 2).
const FIRST_RETRY_MS = 250
const LONGEST_RETRY_MS = 1250
// What the tunnel has taken arrives after a fault of its line, too, so it is waited for nearly as long as glibc waits: 5 s.
const GIVE_UP_MS = 4800
// When this many queries are pending they are batched, because the tunnel's cost is per message: each query waits up to a
// fifth of the current queueing delay (the latency above its minimum), and at most 10 ms. Without a queue nothing waits.
const MANY = 8
const SHARE_OF_QUEUE = 1 / 5
const LONGEST_GATHER_MS = 10
/** For how long a measured minimum latency counts. */
const LEAST_HOLDS_MS = 60_000
/** A resolver's socket holds a few hundred datagrams before it drops some. */
const MOST_GATHERED = 64

/** A query under way. */
interface Asked {
  readonly entry: Outstanding
  readonly began: number
  /** When the query is sent again, and how long to wait after that. */
  again: number
  wait: number
}

export function datagramUpstream({ name, open, tcp, clock, random }: DatagramUpstreamOptions): DnsUpstream {
  const outstanding = new OutstandingQueries(random)
  const asked = new Set<Asked>()
  let gathered: Asked[] = []
  let cancelGather = () => {}
  // One timer serves all queries: it fires at the earliest `again` that was known when it was set.
  let timerAt = Number.POSITIVE_INFINITY
  let cancelTimer = () => {}
  let flow: DnsDatagrams | undefined
  let closed = false
  let smoothed = 0
  let deviation = 0
  let least = Number.POSITIVE_INFINITY
  let leastAt = 0

  /** `took` counts from the first transmission, so after a loss it is too long rather than too short. */
  const measured = (took: number, now: number) => {
    if (took <= least || now - leastAt > LEAST_HOLDS_MS) {
      least = took
      leastAt = now
    }
    if (smoothed === 0) {
      smoothed = took
      deviation = took / 2
    } else {
      deviation += (Math.abs(took - smoothed) - deviation) / 4
      smoothed += (took - smoothed) / 8
    }
  }

  const openFlow = () => {
    let mine: DnsDatagrams | undefined
    let failed = false
    mine = open({
      onDatagram: (payload) => {
        const query = outstanding.match(payload)
        // A copy, which `slice` of a Buffer is not: the view is valid during the call only.
        query?.resolve(new Uint8Array(payload))
      },
      // The next retransmission opens another one.
      onFail: () => {
        failed = true
        if (flow === mine) flow = undefined
      },
    })
    if (!failed) flow = mine
  }

  const transmit = ({ entry }: Asked) => {
    try {
      if (!flow) openFlow()
      flow?.send(entry.message)
    } catch (error) {
      entry.reject(new UpstreamError('lost', `${name}: ${(error as Error).message}`))
    }
  }

  const release = () => {
    cancelGather()
    const all = gathered
    gathered = []
    for (const one of all) if (asked.has(one)) transmit(one)
  }

  const ask = (one: Asked) => {
    if (gathered.length === 0) {
      const patience = Math.floor(Math.min(LONGEST_GATHER_MS, (smoothed - least) * SHARE_OF_QUEUE))
      if (asked.size < MANY || patience <= 0) {
        transmit(one)
        return
      }
      cancelGather = clock.after(patience, release)
    }
    if (gathered.push(one) >= MOST_GATHERED) release()
  }

  const wakeAt = (at: number, now: number) => {
    if (at >= timerAt) return
    cancelTimer()
    timerAt = at
    cancelTimer = clock.after(at - now, onTimer)
  }

  const onTimer = () => {
    timerAt = Number.POSITIVE_INFINITY
    const now = clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const one of asked) {
      if (one.again <= now) {
        const left = one.began + GIVE_UP_MS - now
        if (left <= 0) {
          one.entry.reject(new UpstreamError('timeout', `${name} did not answer`))
          continue
        }
        one.again = now + Math.min(one.wait, left)
        one.wait = Math.min(2 * one.wait, LONGEST_RETRY_MS)
        ask(one)
      }
      if (one.again < next) next = one.again
    }
    if (asked.size > 0) wakeAt(next, now)
  }

  const overDatagrams = (message: Uint8Array) =>
    new Promise<Uint8Array>((resolve, reject) => {
      const began = clock.now()
      const id = u16(message, 0)
      const entry = outstanding.add(message, (answer, error) => {
        asked.delete(one)
        if (asked.size === 0) {
          cancelTimer()
          timerAt = Number.POSITIVE_INFINITY
        }
        if (!answer) {
          reject(error)
          return
        }
        const now = clock.now()
        measured(now - began, now)
        putU16(message, 0, id)
        putU16(answer, 0, id)
        resolve(isTruncated(answer) ? tcp.query(message, 'tcp') : answer)
      })
      const first = Math.min(LONGEST_RETRY_MS, Math.max(FIRST_RETRY_MS, smoothed + 4 * deviation))
      const one: Asked = { entry, began, again: began + first, wait: Math.min(2 * first, LONGEST_RETRY_MS) }
      asked.add(one)
      wakeAt(one.again, began)
      ask(one)
    })

  return {
    name,
    query(message, transport) {
      if (closed) return Promise.reject(new UpstreamError('lost', `${name}: the tunnel is gone`))
      return transport === 'tcp' ? tcp.query(message, 'tcp') : overDatagrams(message)
    },
    close() {
      closed = true
      cancelGather()
      gathered = []
      flow?.close()
      flow = undefined
      tcp.close()
      outstanding.rejectAll(new UpstreamError('lost', `${name}: the tunnel is gone`))
    },
  }
}
