// What the mux takes over of an ssh2 connection, as types of our own. ssh2.ts lists all insides that kt relies on. A connection
// with other insides fails when it begins, and not in mid-transfer.
import utils from 'ssh2/lib/protocol/utils.js'
import type { PacketSource } from './packet-shape.ts'
import { type CipherShape, placePackets } from './packets.ts'
import { requireCheckedSsh2 } from './ssh2.ts'
import { type DecipherShape, improveDecipher } from './unpack.ts'

/** RFC 4250 4.1.2 */
const CHANNEL_OPEN = 90
const CHANNEL_OPEN_CONFIRMATION = 91
const CHANNEL_OPEN_FAILURE = 92
const CHANNEL_WINDOW_ADJUST = 93
const CHANNEL_DATA = 94
const CHANNEL_EOF = 96
const CHANNEL_CLOSE = 97
const CHANNEL_REQUEST = 98
const CHANNEL_FAILURE = 100

/** RFC 4254 5.1 */
export const OpenFailure = { prohibited: 1, connectFailed: 2, unknownType: 3, shortage: 4 } as const

export interface OpenRequest {
  type: string
  /** The other side's channel number. */
  sender: number
  window: number
  packetSize: number
  data: { destIP?: string; destPort?: number; srcIP?: string; srcPort?: number }
}

export interface OpenConfirmation {
  recipient: number
  sender: number
  window: number
  packetSize: number
}

/** Data of this size or more is encrypted from where it lies. */
const SEAL_BYTES = 1024

type Handler = (protocol: unknown, ...rest: never[]) => void

interface Protocol {
  _handlers: Record<string, Handler | undefined>
  _packetRW: { write: { allocStart: number; alloc(length: number): Buffer; finalize(packet: Buffer): Buffer } }
  _cipher: CipherShape
  _decipher: DecipherShape
  _kexinit: unknown
  _destruct: unknown
  ping(): void
}

/** What the mux gets told. */
export interface ChannelEvents {
  onOpenRequest(request: OpenRequest): boolean
  onConfirmed(confirmation: OpenConfirmation): boolean
  onRefused(channel: number, reason: number, description: string): boolean
  onData(channel: number, data: Buffer): boolean
  /** Whether a channel of this number is not ssh2's. */
  isOurs(channel: number): boolean
  onWindow(channel: number, bytes: number): boolean
  onEof(channel: number): boolean
  onClosed(channel: number): boolean
  onRequest(channel: number, type: string, wantReply: boolean): boolean
}

const HANDLERS = [
  'CHANNEL_OPEN',
  'CHANNEL_OPEN_CONFIRMATION',
  'CHANNEL_OPEN_FAILURE',
  'CHANNEL_DATA',
  'CHANNEL_WINDOW_ADJUST',
  'CHANNEL_EOF',
  'CHANNEL_CLOSE',
  'CHANNEL_REQUEST',
]

function insidesOf(owner: object): Protocol {
  requireCheckedSsh2()
  const protocol = (owner as { _protocol?: Protocol })._protocol
  const missing: string[] = []
  const need = (what: string, there: boolean) => {
    if (!there) missing.push(what)
  }
  need('_protocol', typeof protocol === 'object')
  need('_handlers', typeof protocol?._handlers === 'object')
  for (const name of HANDLERS) need(name, typeof protocol?._handlers?.[name] === 'function')
  need('_packetRW.write.alloc', typeof protocol?._packetRW?.write?.alloc === 'function')
  need('_packetRW.write.allocStart', typeof protocol?._packetRW?.write?.allocStart === 'number')
  need('_cipher.encrypt', typeof protocol?._cipher?.encrypt === 'function')
  need('_cipher.allocPacket', typeof protocol?._cipher?.allocPacket === 'function')
  need('_decipher', typeof protocol?._decipher === 'object')
  need('utils.sendPacket', typeof utils.sendPacket === 'function')
  if (missing.length > 0) throw new Error(`this ssh2 is not the one kt was made for: it has no ${missing.join(', ')}`)
  return protocol!
}

/** Sends channel messages of one SSH connection, and tells what arrives. */
export class ChannelPort {
  readonly #protocol: Protocol
  /** Where the data lies that `onData` is being told of. */
  readonly source: PacketSource

  /** Takes over the channel messages of an authenticated ssh2 Client or server connection; what `events` does not know stays ssh2's. */
  constructor(connection: object, events: ChannelEvents) {
    this.#protocol = insidesOf(connection)
    this.source = {
      slab: undefined,
      takes: (channel) => !this.exchangingKeys && events.isOurs(channel),
      tell: (channel, data) => void events.onData(channel, data),
    }
    const handlers = this.#protocol._handlers
    const wrap = (name: string, ours: (...args: never[]) => boolean) => {
      const theirs = handlers[name]!
      handlers[name] = (protocol, ...args) => {
        if (!ours(...args)) theirs(protocol, ...args)
      }
    }
    wrap('CHANNEL_OPEN', (request: OpenRequest) => events.onOpenRequest(request))
    wrap('CHANNEL_OPEN_CONFIRMATION', (confirmation: OpenConfirmation) => events.onConfirmed(confirmation))
    wrap('CHANNEL_OPEN_FAILURE', (channel: number, reason: number, description: string) =>
      events.onRefused(channel, reason, description),
    )
    wrap('CHANNEL_DATA', (channel: number, data: Buffer) => events.onData(channel, data))
    wrap('CHANNEL_WINDOW_ADJUST', (channel: number, bytes: number) => events.onWindow(channel, bytes))
    wrap('CHANNEL_EOF', (channel: number) => events.onEof(channel))
    wrap('CHANNEL_CLOSE', (channel: number) => events.onClosed(channel))
    wrap('CHANNEL_REQUEST', (channel: number, type: string, wantReply: boolean) =>
      events.onRequest(channel, type, wantReply),
    )
  }

  /** During a key exchange ssh2 queues without bound, so bulk data waits. */
  get exchangingKeys(): boolean {
    return this.#protocol._kexinit !== undefined
  }

  /** True when nothing can be sent any more. */
  get dead(): boolean {
    return this.#protocol._destruct === undefined
  }

  open(
    type: string,
    channel: number,
    window: number,
    packetSize: number,
    target?: Required<OpenRequest['data']>,
  ): void {
    const typeBytes = Buffer.from(type)
    const destIP = Buffer.from(target?.destIP ?? '')
    const srcIP = Buffer.from(target?.srcIP ?? '')
    const message = this.#message(17 + typeBytes.length + (target ? 16 + destIP.length + srcIP.length : 0))
    if (!message) return
    let p = message.p
    const { packet } = message
    packet[p++] = CHANNEL_OPEN
    p = putString(packet, p, typeBytes)
    p = putUint32(packet, p, channel)
    p = putUint32(packet, p, window)
    p = putUint32(packet, p, packetSize)
    if (target) {
      p = putString(packet, p, destIP)
      p = putUint32(packet, p, target.destPort)
      p = putString(packet, p, srcIP)
      putUint32(packet, p, target.srcPort)
    }
    this.#send(packet)
  }

  confirm(recipient: number, channel: number, window: number, packetSize: number): void {
    const message = this.#message(17)
    if (!message) return
    const { packet, p } = message
    packet[p] = CHANNEL_OPEN_CONFIRMATION
    putUint32(packet, p + 1, recipient)
    putUint32(packet, p + 5, channel)
    putUint32(packet, p + 9, window)
    putUint32(packet, p + 13, packetSize)
    this.#send(packet)
  }

  refuse(recipient: number, reason: number, description: string): void {
    const text = Buffer.from(description)
    const message = this.#message(17 + text.length)
    if (!message) return
    const { packet, p } = message
    packet[p] = CHANNEL_OPEN_FAILURE
    putUint32(packet, p + 1, recipient)
    putUint32(packet, p + 5, reason)
    putUint32(packet, putString(packet, p + 9, text), 0) // no language tag
    this.#send(packet)
  }

  data(recipient: number, buffer: Uint8Array, start: number, end: number): void {
    const message = this.#message(9 + end - start)
    if (!message) return
    const { packet, p } = message
    packet[p] = CHANNEL_DATA
    putUint32(packet, p + 1, recipient)
    putUint32(packet, p + 5, end - start)
    const cipher = this.#protocol._cipher
    // Packets of a key exchange are queued by ssh2, so their data has to be in them.
    if (cipher.seal && !this.exchangingKeys && end - start >= SEAL_BYTES) {
      cipher.seal(packet, p + 9, buffer, start, end)
      return
    }
    packet.set(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end), p + 9)
    this.#send(packet)
  }

  adjustWindow(recipient: number, bytes: number): void {
    const message = this.#message(9)
    if (!message) return
    message.packet[message.p] = CHANNEL_WINDOW_ADJUST
    putUint32(message.packet, message.p + 1, recipient)
    putUint32(message.packet, message.p + 5, bytes)
    this.#send(message.packet)
  }

  eof(recipient: number): void {
    this.#bare(CHANNEL_EOF, recipient)
  }

  close(recipient: number): void {
    this.#bare(CHANNEL_CLOSE, recipient)
  }

  /** No to a channel request. */
  denyRequest(recipient: number): void {
    this.#bare(CHANNEL_FAILURE, recipient)
  }

  /** A channel request without data that wants no reply. */
  request(recipient: number, type: string): void {
    const text = Buffer.from(type)
    const message = this.#message(10 + text.length)
    if (!message) return
    const { packet, p } = message
    packet[p] = CHANNEL_REQUEST
    putUint32(packet, p + 1, recipient)
    packet[putString(packet, p + 5, text)] = 0
    this.#send(packet)
  }

  /**
   * Lets packets be made where they will be sent from, and deciphered at less cost; to be called again after each key exchange.
   * Returns whether the session keeps nothing of its input.
   */
  improveCiphers(reserve: (length: number) => Buffer): boolean {
    placePackets(this.#protocol._cipher, reserve)
    return improveDecipher(this.#protocol._decipher, this.source)
  }

  #bare(type: number, recipient: number): void {
    const message = this.#message(5)
    if (!message) return
    message.packet[message.p] = type
    putUint32(message.packet, message.p + 1, recipient)
    this.#send(message.packet)
  }

  #message(length: number): { packet: Buffer; p: number } | undefined {
    if (this.#protocol._destruct === undefined) return undefined
    const writer = this.#protocol._packetRW.write
    const packet = writer.alloc(length)
    return { packet, p: writer.allocStart }
  }

  #send(packet: Buffer): void {
    utils.sendPacket(this.#protocol, this.#protocol._packetRW.write.finalize(packet))
  }
}

function putUint32(packet: Buffer, p: number, value: number): number {
  packet[p] = value >>> 24
  packet[p + 1] = value >>> 16
  packet[p + 2] = value >>> 8
  packet[p + 3] = value
  return p + 4
}

function putString(packet: Buffer, p: number, text: Buffer): number {
  packet.set(text, putUint32(packet, p, text.length))
  return p + 4 + text.length
}

/** Sends keepalive@openssh.com on an ssh2 Client; `answered` when the server said anything to it (or the connection went). */
export function pingServer(client: object, answered: (error: unknown) => void): void {
  const insides = client as { _callbacks?: ((error: unknown) => void)[]; _protocol: Protocol }
  if (!Array.isArray(insides._callbacks)) throw new Error('this ssh2 is not the one kt was made for: no _callbacks')
  insides._callbacks.push(answered)
  insides._protocol.ping()
}
