// The SSH server of the agent: one host key, one client key, sockets wrapped as transports; what a session does with its mux is the
// agent's business.
import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import type { AuthContext, Connection, ParsedKey, PublicKeyAuthContext } from 'ssh2'
import keyParser from 'ssh2/lib/protocol/keyParser.js'
import Server from 'ssh2/lib/server.js'
import type { Clock } from '../../base/clock.ts'
import { AGENT_IDENT } from '../agent-protocol/frames.ts'
import { LineServer, type OpenedLine } from '../line/agent.ts'
import { receive } from '../line/door.ts'
import { Strangers } from '../line/strangers.ts'
import { pathTransport } from '../transport/path.ts'
import { socketPath } from '../transport/tcp.ts'
import { Inlet, type Transport } from '../transport/transport.ts'
import { ChannelMux } from './mux.ts'
import { MAX_OWN_DATA } from './packet-shape.ts'
import { readInto } from './read-into.ts'
import { SshSocket } from './socket.ts'
import { OWN_SLACK_MS, WindowBudget } from './window.ts'

/** What a session does once it is authenticated. */
export interface ServerSession {
  /** The connection is gone; `mux.lose` was called. */
  lost(): void
}

/** Makes the line below a session outlive its paths; undefined for a session that has no line. */
export type SecureLine = OpenedLine['secure']

export interface SshServerOptions {
  /** Private host key, OpenSSH PEM. */
  hostKey: string
  /** The public key that may connect, as in an authorized_keys file. Undefined: any key that the client proves to have. */
  authorized: string | undefined
  log: (line: string) => void
  onSession: (mux: ChannelMux, budget: WindowBudget, secure: SecureLine | undefined) => ServerSession
  clock: Clock
  /** How long a line waits for its client, ms. */
  lineWaitMs: number
  /** A client has gone without a word, or has come back; its session goes on. */
  onPresence: (event: 'absent' | 'back') => void
}

export interface SshServer {
  /** Serves a connection. */
  serve(socket: Socket): void
  /** Sessions whose client is absent. */
  readonly absent: number
  /** Cuts all connections. */
  close(): void
}

/** Sessions without a line at a time. Those with one are counted by the lines. */
const MOST_PLAIN = 64
/** Time for the key exchange and the proof of the key. A connection that takes longer is closed. */
const LOGIN_MS = 60_000
/** The longest interval that Node has: 24 days. */
const NEVER_MS = 2 ** 31 - 1

/** Throws Error when a key cannot be read. */
export function createSshServer(options: SshServerOptions): SshServer {
  const authorized = options.authorized === undefined ? undefined : readKey(options.authorized)
  const transports = new Map<SshSocket, Transport>()
  const secures = new WeakMap<SshSocket, SecureLine>()
  const strangers = new Strangers()
  const { clock } = options
  const lines = new LineServer({
    clock,
    departure: 'turn',
    waitMs: options.lineWaitMs,
    log: options.log,
    onPresence: options.onPresence,
  })

  const onConnection = (connection: Connection) => {
    const socket = (connection as unknown as { _sock: SshSocket })._sock
    let mux: ChannelMux | undefined
    let session: ServerSession | undefined
    const improve = () => {
      if (mux) socket.copyInput = !mux.improveCiphers()
    }
    const endLogin = clock.after(LOGIN_MS, () => transports.get(socket)?.destroy(), 'alone')
    connection.on('authentication', (context) => authenticate(context, authorized))
    connection.on('ready', () => {
      endLogin()
      const budget = new WindowBudget(clock)
      budget.slackMs = OWN_SLACK_MS
      mux = new ChannelMux(connection, transports.get(socket)!, budget, MAX_OWN_DATA)
      improve()
      session = options.onSession(mux, budget, secures.get(socket))
    })
    connection.on('rekey', () => improve())
    connection.on('error', (error: Error) => options.log(`connection: ${error.message}`))
    connection.on('close', () => {
      endLogin()
      mux?.lose()
      session?.lost()
      session = undefined
    })
  }
  const serverThat = (options: object) => new Server(options as never).on('connection', onConnection)
  const keys = { hostKeys: [options.hostKey], ident: AGENT_IDENT }
  /** ssh2 ends a session whose client has been silent for a minute; 0 would mean that, too. */
  const impatient = serverThat(keys)
  /** The client of a line may be absent for longer, and the line itself knows how long. */
  const patient = serverThat({ ...keys, keepaliveInterval: NEVER_MS })

  function admit(transport: Transport, remoteAddress: string | undefined, secure?: SecureLine): void {
    const wrapped = new SshSocket(transport, remoteAddress)
    transports.set(wrapped, transport)
    if (secure) secures.set(wrapped, secure)
    wrapped.once('close', () => transports.delete(wrapped))
    const server = secure ? patient : impatient
    server.injectSocket(wrapped as never)
  }

  return {
    serve(socket) {
      const { remoteAddress } = socket
      const inlet = new Inlet()
      const reading = readInto(socket, inlet.onread)
      const { path, known } = strangers.take(socketPath(reading ?? socket, reading && inlet))
      receive(path, clock, {
        ssh: (plain) => {
          if (transports.size - lines.size >= MOST_PLAIN) {
            plain.destroy()
            return
          }
          known()
          admit(pathTransport(plain, 'turn'), remoteAddress)
        },
        line: (greeted) => lines.serve(greeted, ({ line, secure }) => admit(line, remoteAddress, secure), known),
      })
    },
    get absent() {
      return lines.absent
    },
    close() {
      for (const transport of transports.values()) transport.destroy()
    },
  }
}

function readKey(text: string): ParsedKey {
  const parsed = keyParser.parseKey(text)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key instanceof Error) throw new Error(`authorized: ${key.message}`)
  return key
}

function authenticate(context: AuthContext, authorized: ParsedKey | undefined): void {
  if (context.method === 'publickey' && mayEnter(context, authorized)) context.accept()
  else context.reject(['publickey'])
}

function mayEnter(
  { key, signature, blob, hashAlgo }: PublicKeyAuthContext,
  authorized: ParsedKey | undefined,
): boolean {
  const shown = authorized ?? keyParser.parseKey(key.data)
  if (Array.isArray(shown) || shown instanceof Error) return false
  const expected = shown.getPublicSSH()
  const same = key.algo === shown.type && key.data.length === expected.length && timingSafeEqual(key.data, expected)
  if (!same) return false
  // Without a signature the client only asks whether this key would be accepted.
  return signature === undefined || shown.verify(blob!, signature, hashAlgo) === true
}
