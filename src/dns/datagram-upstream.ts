// The cluster's resolver over datagrams through the tunnel (the agent's shadow): one flow for all queries, retransmission
// since both the tunnel's queue and the cluster's network may drop, TCP for what does not fit.
import type { Clock } from './clock.ts'
import { u16 } from './message.ts'
import type { DnsUpstream } from './port.ts'
import { isTruncated, OutstandingQueries, UpstreamError, withId } from './upstream.ts'

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

// A cluster's resolver answers from memory: what takes longer is lost, or was asked of the outside world. But where the way
// itself is slow or full, asking twice would only fill it more: then the wait follows what answers take (RFC 6298 2).
const FIRST_RETRY_MS = 250
const LONGEST_RETRY_MS = 1250
const GIVE_UP_MS = 3000

export function datagramUpstream({ name, open, tcp, clock, random }: DatagramUpstreamOptions): DnsUpstream {
  const outstanding = new OutstandingQueries(random)
  let flow: DnsDatagrams | undefined
  let closed = false
  let smoothed = 0
  let deviation = 0

  /** Counted from the first time a query was sent, so too long rather than too short after a loss. */
  const measured = (took: number) => {
    if (smoothed === 0) {
      smoothed = took
      deviation = took / 2
    } else {
      deviation += (Math.abs(took - smoothed) - deviation) / 4
      smoothed += (took - smoothed) / 8
    }
  }

  const send = (message: Uint8Array) => {
    if (!flow) {
      let mine: DnsDatagrams | undefined
      let failed = false
      mine = open({
        onDatagram: (payload) => {
          const query = outstanding.match(payload)
          // A copy, which `slice` of a Buffer is not: the view is valid during the call only.
          query?.resolve(Uint8Array.from(payload))
        },
        // The next retransmission opens another one.
        onFail: () => {
          failed = true
          if (flow === mine) flow = undefined
        },
      })
      if (!failed) flow = mine
    }
    flow?.send(message)
  }

  const overDatagrams = (query: Uint8Array) =>
    new Promise<Uint8Array>((resolve, reject) => {
      let cancel = () => {}
      const began = clock.now()
      const entry = outstanding.add(query, (answer, error) => {
        cancel()
        if (answer) {
          measured(clock.now() - began)
          resolve(answer)
        } else reject(error)
      })
      const attempt = (wait: number) => {
        const left = began + GIVE_UP_MS - clock.now()
        if (left <= 0) {
          entry.reject(new UpstreamError('timeout', `${name} did not answer`))
          return
        }
        cancel = clock.after(Math.min(wait, left), () => attempt(Math.min(2 * wait, LONGEST_RETRY_MS)))
        try {
          send(entry.message)
        } catch (error) {
          entry.reject(new UpstreamError('lost', `${name}: ${(error as Error).message}`))
        }
      }
      attempt(Math.min(LONGEST_RETRY_MS, Math.max(FIRST_RETRY_MS, smoothed + 4 * deviation)))
    })

  return {
    name,
    async query(message, transport) {
      if (closed) throw new UpstreamError('lost', `${name}: the tunnel is gone`)
      if (transport === 'tcp') return tcp.query(message, 'tcp')
      const answer = await overDatagrams(message)
      return isTruncated(answer) ? tcp.query(message, 'tcp') : withId(answer, u16(message, 0))
    },
    close() {
      closed = true
      flow?.close()
      flow = undefined
      tcp.close()
      outstanding.rejectAll(new UpstreamError('lost', `${name}: the tunnel is gone`))
    },
  }
}
