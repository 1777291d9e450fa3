// One SOCKS client: greeting, request, and then the connection it asked for.
import type { Socket } from 'node:net'
import { socksReply } from '../../proxy/failure.ts'
import {
  greetingReply,
  REPLY,
  type Read,
  type Reply,
  readGreeting,
  readRequest,
  readRequest4,
  requestReply,
  type SocksRequest,
} from '../../proxy/socks.ts'
import { ReachError } from '../../reach/errors.ts'
import { IpAddress } from '../../wire/address.ts'
import { carry, farewell } from './carry.ts'
import type { DoorContext } from './door.ts'

/** All that a client can have to say before it is answered: a greeting with 255 methods, and a request with a name of 255. */
const MOST_HEAD = 1024
const VERSION5 = 5

/** `first` is what has been read; the socket is paused. */
export function serveSocks(socket: Socket, first: Buffer, context: DoorContext): void {
  let head: Buffer = first
  let greeted = head[0] !== VERSION5

  function take(): void {
    if (!greeted) {
      const greeting = readGreeting(head)
      if (greeting.kind === 'more') {
        more()
        return
      }
      if (greeting.kind === 'bad') return void socket.destroy()
      socket.write(greetingReply(greeting.value))
      if (!greeting.value) return void socket.end()
      greeted = true
      head = head.subarray(greeting.used)
    }
    const request: Read<SocksRequest> = first[0] === VERSION5 ? readRequest(head) : readRequest4(head)
    if (request.kind === 'more') {
      more()
      return
    }
    if (request.kind === 'bad') {
      refuse(request.version ?? 5, request.reply ?? REPLY.failure)
      return
    }
    context.settled(socket)
    socket.off('end', cut)
    // Some clients send what they have to say before they are answered.
    if (head.length > request.used) socket.unshift(head.subarray(request.used))
    serve(request.value)
  }

  function more(): void {
    if (head.length > MOST_HEAD) return void socket.destroy()
    socket.once('data', (chunk: Buffer) => {
      socket.pause()
      head = Buffer.concat([head, chunk])
      take()
    })
    socket.resume()
  }

  function refuse(version: 4 | 5, reply: Reply): void {
    context.counters.failed++
    socket.off('end', cut)
    farewell(socket, requestReply(version, reply), context.clock)
  }

  function serve({ version, command, host, port }: SocksRequest): void {
    if (command === 'bind') {
      refuse(version, REPLY.commandUnknown)
      return
    }
    if (command === 'udp') {
      associate(version, host, port)
      return
    }
    const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const { reach, clock, counters, log } = context
    const onOpen = () => void socket.write(requestReply(version, REPLY.succeeded))
    reach.dial(host, port, carry(socket, { where, clock, counters, onOpen })).catch((error: Error) => {
      if (!(error instanceof ReachError)) log(`proxy: ${where}: ${error.stack}`)
      if (!socket.destroyed) refuse(version, socksReply((error as ReachError).code ?? ''))
    })
  }

  function associate(version: 4 | 5, host: string, port: number): void {
    const address = socket.localAddress === '::1' ? '::1' : '127.0.0.1'
    context.associations.open(address, socket, port).then(
      (bound) => {
        if (bound === undefined) return refuse(version, REPLY.failure)
        socket.write(requestReply(version, REPLY.succeeded, { address: IpAddress.parse(address), port: bound }))
        // RFC 1928 6: the association lives as long as this connection, on which nothing more is said.
        socket.on('data', () => {})
        socket.on('end', () => socket.destroy())
        socket.resume()
      },
      (error: Error) => {
        context.log(`proxy: UDP for ${host}: ${error.message}`)
        refuse(version, REPLY.failure)
      },
    )
  }

  const cut = () => socket.destroy()
  socket.on('end', cut)
  take()
}
