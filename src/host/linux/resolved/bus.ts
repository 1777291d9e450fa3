// A short conversation with the system bus: sign in, some calls one after the other, good-bye. No signals, no objects
// of our own. One connection a use: settings change seldom, and nothing has to be noticed in between.
import { connect, type Socket } from 'node:net'
import { type Call, decode, ERROR, encodeCall, type Incoming, METHOD_RETURN } from './message.ts'
import type { Value } from './signature.ts'

/** The bus's or the service's own words. */
export class BusError extends Error {
  /** As `org.freedesktop.resolve1.NoSuchLink`; empty when the bus itself failed. */
  readonly dbusName: string

  constructor(dbusName: string, message: string) {
    super(message)
    this.name = 'BusError'
    this.dbusName = dbusName
  }
}

export interface Bus {
  /** Resolves to the reply's first argument, a variant's for what is in it. Rejects with BusError. */
  call(call: Call): Promise<Value | undefined>
}

export const BUS_SERVICE = 'org.freedesktop.DBus'
const BUS = { destination: BUS_SERVICE, path: '/org/freedesktop/DBus', interface: BUS_SERVICE }

/** Connects, lets `use` speak, closes. Rejects with BusError when the bus is not there or silent for `timeoutMs`. */
export async function withBus<T>(address: string, timeoutMs: number, use: (bus: Bus) => Promise<T>): Promise<T> {
  const socket = connect(address)
  const connection = new Connection(socket, timeoutMs)
  try {
    await connection.open()
    return await use(connection)
  } finally {
    socket.destroy()
  }
}

class Connection implements Bus {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #serial = 0
  #failure: BusError | undefined
  #wake: (() => void) | undefined

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket
    socket.setTimeout(timeoutMs, () => this.#fail('the system bus does not answer'))
    socket.on('error', (error) => this.#fail(`the system bus cannot be reached: ${error.message}`))
    socket.on('close', () => this.#fail('the system bus closed the connection'))
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake?.()
    })
  }

  /** SASL EXTERNAL (D-Bus specification, "Authentication Protocol"): the kernel tells the bus who we are. */
  async open(): Promise<void> {
    const uid = Buffer.from(String(process.getuid!())).toString('hex')
    this.#socket.write(`\0AUTH EXTERNAL ${uid}\r\n`)
    const line = await this.#take((buffer) => {
      const end = buffer.indexOf('\r\n')
      return end < 0 ? undefined : { value: buffer.toString('latin1', 0, end), size: end + 2 }
    })
    if (!line.startsWith('OK ')) throw new BusError('', `the system bus does not let us in: ${line}`)
    this.#socket.write('BEGIN\r\n')
    await this.call({ ...BUS, member: 'Hello' })
  }

  async call(call: Call): Promise<Value | undefined> {
    const serial = ++this.#serial
    this.#socket.write(encodeCall(serial, call))
    for (;;) {
      const message = await this.#take<Incoming>((buffer) => {
        const decoded = understand(buffer)
        return decoded && { value: decoded.message, size: decoded.size }
      })
      if (message.replySerial !== serial) continue // a signal: NameAcquired
      if (message.type === METHOD_RETURN) return message.value
      if (message.type === ERROR) {
        const text = typeof message.value === 'string' ? message.value : `${call.member} failed: ${message.errorName}`
        throw new BusError(message.errorName ?? '', text)
      }
    }
  }

  async #take<T>(parse: (buffer: Buffer) => { value: T; size: number } | undefined): Promise<T> {
    for (;;) {
      const found = parse(this.#received)
      if (found) {
        this.#received = this.#received.subarray(found.size)
        return found.value
      }
      if (this.#failure) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #fail(message: string): void {
    this.#failure ??= new BusError('', message)
    this.#wake?.()
  }
}

function understand(buffer: Buffer): ReturnType<typeof decode> {
  try {
    return decode(buffer)
  } catch (error) {
    throw new BusError('', `the system bus says what kt does not understand: ${(error as Error).message}`)
  }
}
