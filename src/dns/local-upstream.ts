// The resolvers this machine had before kt, for what is not the cluster's: UDP from a fresh port for each query (RFC 5452
// 9.2), several asked in turn without giving up on the slow ones, TCP for what does not fit.
import { createConnection } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { ConnectedDatagrams } from '../base/datagram-socket.ts'
import { IpAddress } from '../wire/address.ts'
import type { DnsUpstream } from './interfaces.ts'
import { RCODE, u16 } from './message.ts'
import { frame, TcpFramer } from './tcp.ts'
import { isTruncated, OutstandingQueries, UpstreamError, withId } from './upstream.ts'

export interface LocalUpstream extends DnsUpstream {
  /** Other resolvers from now on (the machine changed networks). What the earlier ones are being asked rejects. */
  setServers(servers: string[]): void
}

export interface LocalUpstreamOptions {
  /** `address`, `address:port`, `[v6]:port`, a v6 address possibly with a %zone; in order of preference. Others are passed over. */
  servers: string[]
  clock: Clock
  random: () => number
}

interface Server {
  text: string
  host: string
  port: number
  /** Before this time it is asked last. */
  deadUntil: number
  timeouts: number
}

// When the next resolver is asked (the ones before may still answer): short, since glibc gives kt 5 s in all.
const NEXT_MS = 1000
const TOTAL_MS = 4500
const ROUNDS = 2
const TCP_MS = 3000
// How long a resolver that is unreachable, or was silent twice in a row, is asked after all others.
const DEAD_MS = 30_000
// Each query has sockets of its own. A flood of names must leave descriptors for the rest of the program.
const MOST_SOCKETS = 1024

/** Why a query ends that is not to be answered any more. */
const OVER = 'this resolver is not asked any more'

/** Undefined for a server that is no address. */
export function parseServer(text: string): { host: string; port: number } | undefined {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text)
  const v4 = /^([\d.]+):(\d{1,5})$/.exec(text)
  const [host, port] = bracketed ? [bracketed[1], bracketed[2] ?? '53'] : v4 ? [v4[1], v4[2]] : [text, '53']
  if (!IpAddress.tryParse(host.split('%')[0]) || Number(port) > 65535 || Number(port) < 1) return undefined
  return { host, port: Number(port) }
}

export function localUpstream({ servers, clock, random }: LocalUpstreamOptions): LocalUpstream {
  // The list is other programs': one of its entries must not cost the rest.
  const parse = (list: string[]): Server[] =>
    list.flatMap((text) => {
      const server = parseServer(text)
      return server ? [{ text, ...server, deadUntil: 0, timeouts: 0 }] : []
    })
  let list = parse(servers)
  let closed = false
  let sockets = 0
  const open = new Set<() => void>()

  const one = (message: Uint8Array): Promise<Uint8Array> => {
    const now = clock.now()
    const alive = list.filter((server) => server.deadUntil <= now)
    const order = [...alive, ...list.filter((server) => server.deadUntil > now)]
    const turns = Array.from({ length: ROUNDS }, () => order).flat()
    return new Promise((resolve, reject) => {
      const cleanup: (() => void)[] = []
      let refusals: Uint8Array | undefined
      let settled = false
      let turn = 0
      let waiting = 0
      let cancelNext = () => {}
      const settle = (answer: Uint8Array | undefined, why = '') => {
        if (settled) return
        settled = true
        cancelNext()
        cancelTotal()
        open.delete(abort)
        for (const close of cleanup) close()
        const answered = answer ?? refusals
        if (answered) resolve(answered)
        else reject(new UpstreamError(why === OVER ? 'lost' : 'timeout', why))
      }
      const abort = () => {
        refusals = undefined
        settle(undefined, OVER)
      }
      const cancelTotal = clock.after(TOTAL_MS, () =>
        settle(undefined, `no answer from ${order.map((s) => s.text).join(', ')}`),
      )
      open.add(abort)
      const failed = () => {
        waiting--
        cancelNext()
        next()
      }
      const next = () => {
        if (settled) return
        const full = sockets >= MOST_SOCKETS
        if (full || turn >= turns.length) {
          const who = order.map((s) => s.text).join(', ')
          if (waiting === 0) settle(undefined, full ? `too many questions to ${who} at once` : `no answer from ${who}`)
          return
        }
        const server = turns[turn++]
        waiting++
        // One resolver alone is given as long as there is.
        cancelNext = clock.after(order.length === 1 ? 2 * NEXT_MS : NEXT_MS, () => {
          if (++server.timeouts >= 2) server.deadUntil = clock.now() + DEAD_MS
          next()
        })
        sockets++
        cleanup.push(
          overUdp(server, message, random, (answer) => {
            sockets--
            if (settled) return
            if (!answer) {
              server.deadUntil = clock.now() + DEAD_MS
              failed()
              return
            }
            server.timeouts = 0
            server.deadUntil = 0
            const rcode = answer[3] & 15
            // As glibc does: another one may know better.
            if ((rcode === RCODE.SERVFAIL || rcode === RCODE.REFUSED) && turn < order.length) {
              refusals ??= answer
              failed()
            } else if (isTruncated(answer)) {
              cancelNext()
              cleanup.push(
                overTcp(server, message, random, clock, (full) =>
                  full ? settle(full) : settle(undefined, `${server.text}: truncated, and no answer over TCP`),
                ),
              )
            } else settle(answer)
          }),
        )
      }
      next()
    })
  }

  return {
    get name() {
      return list.map((server) => server.text).join(', ') || 'no resolver'
    },
    async query(message) {
      if (closed || list.length === 0) throw new UpstreamError('lost', 'this machine has no resolver')
      return withId(await one(message), u16(message, 0))
    },
    setServers(next) {
      list = parse(next)
      for (const abort of [...open]) abort()
    },
    close() {
      closed = true
      for (const abort of [...open]) abort()
    },
  }
}

/** Calls `done` once: with an answer, or undefined when the resolver cannot be reached or the result has ended it. */
function overUdp(
  server: Server,
  message: Uint8Array,
  random: () => number,
  done: (answer: Uint8Array | undefined) => void,
): () => void {
  const outstanding = new OutstandingQueries(random)
  let over = false
  const finish = (answer: Uint8Array | undefined) => {
    if (over) return
    over = true
    socket.close()
    done(answer)
  }
  const query = outstanding.add(new Uint8Array(message), finish)
  // Connected: the kernel takes datagrams of this resolver only, and says when its port is closed.
  const socket = new ConnectedDatagrams(server.host, server.port, {
    onMessage: (answer) => outstanding.match(answer)?.resolve(answer),
    onError: () => finish(undefined),
  })
  socket.send(query.message)
  return () => finish(undefined)
}

/** As `overUdp`, over a connection of its own. */
function overTcp(
  server: Server,
  message: Uint8Array,
  random: () => number,
  clock: Clock,
  done: (answer: Uint8Array | undefined) => void,
): () => void {
  const outstanding = new OutstandingQueries(random)
  const framer = new TcpFramer()
  let over = false
  const end = () => {
    over = true
    cancel()
    socket.destroy()
  }
  const finish = (answer: Uint8Array | undefined) => {
    if (over) return
    end()
    done(answer)
  }
  const query = outstanding.add(new Uint8Array(message), finish)
  const socket = createConnection({ host: server.host, port: server.port })
  const cancel = clock.after(TCP_MS, () => finish(undefined))
  socket.on('connect', () => socket.write(frame(query.message)))
  socket.on('data', (chunk) =>
    framer.push(chunk, 0, chunk.length, (buffer, start, stop) => {
      const answer = buffer.slice(start, stop)
      outstanding.match(answer)?.resolve(answer)
    }),
  )
  socket.on('error', () => finish(undefined))
  socket.on('close', () => finish(undefined))
  return () => {
    if (!over) end()
  }
}
