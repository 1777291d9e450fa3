// A resolver on UDP and TCP port 53 of given addresses, which remembers what it was asked: tests look there for names
// that went the wrong way.
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { type Question, rcodes, readQuestion, types, writeAnswer } from './dns-message.ts'
import type { Zone } from './dns-zones.ts'

export interface AskedQuestion {
  name: string
  type: string
  transport: 'udp' | 'tcp'
  from: string
}

export interface Resolver {
  readonly asked: AskedQuestion[]
  /** While true, nothing is answered. */
  mute: boolean
}

/** `zones` are tried in order; a name none of them knows is refused. */
export async function startResolver(addresses: readonly string[], port: number, zones: Zone[]): Promise<Resolver> {
  const resolver: Resolver = { asked: [], mute: false }
  const answer = (message: Buffer, transport: 'udp' | 'tcp', from: string): Buffer | undefined => {
    const question = readQuestion(message)
    if (!question) return undefined
    resolver.asked.push({ name: question.name, type: typeName(question.type), transport, from })
    if (resolver.mute) return undefined
    return respond(question, zones, transport === 'udp' ? Math.min(question.udpSize, 4096) : 65535)
  }
  for (const address of addresses) {
    const udp = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4')
    udp.on('message', (message, peer) => {
      const reply = answer(message, 'udp', peer.address)
      if (reply) udp.send(reply, peer.port, peer.address)
    })
    udp.bind(port, address)
    await once(udp, 'listening')
    const tcp = net.createServer((socket) => serveTcp(socket, answer))
    tcp.listen(port, address)
    await once(tcp, 'listening')
  }
  return resolver
}

function respond(question: Question, zones: Zone[], limit: number): Buffer {
  for (const zone of zones) {
    const found = zone(question.name, question.type)
    if (found) return writeAnswer(question, { ...found, authoritative: true }, limit)
  }
  return writeAnswer(question, { rcode: rcodes.REFUSED, answers: [], authoritative: false }, limit)
}

// RFC 1035 4.2.2: two bytes of length before each message.
function serveTcp(socket: net.Socket, answer: (message: Buffer, transport: 'tcp', from: string) => Buffer | undefined) {
  let pending = Buffer.alloc(0)
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0)
      const reply = answer(pending.subarray(2, end), 'tcp', socket.remoteAddress ?? '')
      pending = pending.subarray(end)
      if (!reply) continue
      const length = Buffer.alloc(2)
      length.writeUInt16BE(reply.length)
      socket.write(Buffer.concat([length, reply]))
    }
  })
}

function typeName(type: number): string {
  return Object.entries(types).find(([, value]) => value === type)?.[0] ?? `TYPE${type}`
}
