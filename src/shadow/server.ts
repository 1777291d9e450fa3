// The agent's SSH server: one host key, one client key, sockets wrapped as transports, channels left to AgentSession.
import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import type { AuthContext, Connection, ParsedKey, PublicKeyAuthContext } from 'ssh2'
import keyParser from 'ssh2/lib/protocol/keyParser.js'
import Server from 'ssh2/lib/server.js'
import { SshSocket } from '../tunnel/ssh/socket.ts'
import { socketTransport } from '../tunnel/tcp.ts'
import type { Transport } from '../tunnel/transport.ts'
import { AgentSession, type SessionContext } from './session.ts'

export interface AgentServerOptions extends SessionContext {
  /** Private host key, OpenSSH PEM. */
  hostKey: string
  /** The public key that may connect, as in an authorized_keys file. */
  authorized: string
  /** Called when the number of authenticated sessions changed. */
  onSessions: (count: number) => void
}

/** Unauthenticated connections at a time; port-forward brings one a client. */
const MAX_CONNECTIONS = 64

export interface AgentServer {
  /** Serves a connection. */
  serve(socket: Socket): void
  readonly sessions: number
  close(): void
}

/** Throws Error when a key cannot be read. */
export function createAgentServer(options: AgentServerOptions): AgentServer {
  const parsed = keyParser.parseKey(options.authorized)
  const authorized = Array.isArray(parsed) ? parsed[0] : parsed
  if (authorized instanceof Error) throw new Error(`authorized: ${authorized.message}`)
  const sessions = new Set<AgentSession>()
  const transports = new Map<SshSocket, Transport>()

  const server = new Server({ hostKeys: [options.hostKey], ident: 'kt_agent', keepaliveInterval: 0 } as never)
  server.on('connection', (connection: Connection) => {
    const socket = (connection as unknown as { _sock: SshSocket })._sock
    let session: AgentSession | undefined
    connection.on('authentication', (context) => authenticate(context, authorized))
    connection.on('ready', () => {
      session = new AgentSession(connection, transports.get(socket)!, options)
      sessions.add(session)
      options.log(`session opened, ${sessions.size} now`)
      options.onSessions(sessions.size)
    })
    connection.on('rekey', () => session?.mux.improveCiphers())
    connection.on('error', (error: Error) => options.log(`connection: ${error.message}`))
    connection.on('close', () => {
      if (!session || !sessions.delete(session)) return
      session.lose()
      options.log(`session closed, ${sessions.size} left`)
      options.onSessions(sessions.size)
    })
  })

  return {
    serve(socket) {
      if (transports.size >= MAX_CONNECTIONS) {
        socket.destroy()
        return
      }
      const transport = socketTransport(socket)
      const wrapped = new SshSocket(transport, socket.remoteAddress)
      wrapped.copyInput = false // an accepted socket is read into fresh buffers
      transports.set(wrapped, transport)
      wrapped.once('close', () => transports.delete(wrapped))
      server.injectSocket(wrapped as never)
    },
    get sessions() {
      return sessions.size
    },
    close() {
      for (const session of [...sessions]) session.lose()
      for (const transport of transports.values()) transport.destroy()
    },
  }
}

function authenticate(context: AuthContext, authorized: ParsedKey): void {
  if (context.method === 'publickey' && mayEnter(context, authorized)) context.accept()
  else context.reject(['publickey'])
}

function mayEnter({ key, signature, blob, hashAlgo }: PublicKeyAuthContext, authorized: ParsedKey): boolean {
  const expected = authorized.getPublicSSH()
  const same =
    key.algo === authorized.type && key.data.length === expected.length && timingSafeEqual(key.data, expected)
  if (!same) return false
  // Without a signature the client only asks whether the key would do.
  return signature === undefined || authorized.verify(blob!, signature, hashAlgo) === true
}
