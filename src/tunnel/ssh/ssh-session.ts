// An SSH session over a transport, as client: key exchange, pinned host key, our key; then the mux has the channels.
import type { ClientChannel, ConnectConfig, Client as SshClient } from 'ssh2'
import Client from 'ssh2/lib/client.js'
import type { Clock } from '../../base/clock.ts'
import { AGENT_IDENT } from '../agent-protocol/frames.ts'
import { TunnelError } from '../errors.ts'
import type { Transport } from '../transport/transport.ts'
import { ChannelMux } from './mux.ts'
import { MAX_DATA, MAX_OWN_DATA } from './packet-shape.ts'
import { SshSocket } from './socket.ts'
import { OWN_SLACK_MS, WindowBudget } from './window.ts'

export interface SessionOptions {
  transport: Transport
  username: string
  /** Private key, OpenSSH PEM. */
  clientKey: string
  /** The host key in SSH wire format, base64. Undefined: whatever is shown is taken, and told as `Session.hostKey`. */
  hostKey: string | undefined
  timeoutMs: number
  clock: Clock
}

export interface Session {
  readonly client: SshClient
  readonly mux: ChannelMux
  readonly budget: WindowBudget
  /** What the server showed, SSH wire format, base64. */
  readonly hostKey: string
  /** The server's identification, without `SSH-2.0-`. */
  readonly serverVersion: string
  /** Settles with the reason when the connection is over. */
  readonly over: Promise<string>
}

// Fastest first: kt has a compiled cipher for AES-GCM, which needs no MAC. The rest is what old servers have.
const ALGORITHMS = {
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384'],
  cipher: ['aes128-gcm@openssh.com', 'aes128-ctr', 'aes256-gcm@openssh.com', 'aes256-ctr'],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha1'],
  compress: ['none'],
  serverHostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
} as ConnectConfig['algorithms']

/** Resolves when authenticated. Rejects with TunnelError; the transport is closed then. */
export function openSession(options: SessionOptions): Promise<Session> {
  const { transport, timeoutMs } = options
  const client = new Client()
  let shown: string | undefined
  let refused = false
  let ready = false
  let failure: string | undefined
  return new Promise((resolve, reject) => {
    let finish: (why: string) => void = () => {}
    const over = new Promise<string>((settle) => {
      finish = settle
    })
    let mux: ChannelMux | undefined
    const socket = new SshSocket(transport)
    const improve = () => {
      if (mux) socket.copyInput = !mux.improveCiphers()
    }
    client.on('error', (error: Error & { level?: string }) => {
      failure ??= error.message
      if (!ready) {
        reject(asTunnelError(error, refused, timeoutMs))
        transport.destroy()
      }
    })
    client.on('close', () => {
      const why = failure ?? 'the connection was closed'
      mux?.lose()
      finish(why)
      if (!ready) reject(new TunnelError('lost', `the shadow's SSH server: ${why}`, 'try again; `kt logs` has more'))
    })
    client.on('handshake', () => improve()) // again after each further key exchange
    client.on('ready', () => {
      ready = true
      const budget = new WindowBudget(options.clock)
      const serverVersion = (client as unknown as { _remoteVer?: string })._remoteVer ?? 'unknown'
      try {
        const own = serverVersion === AGENT_IDENT
        if (own) budget.slackMs = OWN_SLACK_MS
        mux = new ChannelMux(client, transport, budget, own ? MAX_OWN_DATA : MAX_DATA)
        improve()
      } catch (error) {
        reject(new TunnelError('protocol', (error as Error).message, 'install kt again with the ssh2 of its lock file'))
        client.destroy()
        return
      }
      resolve({ client, mux, budget, hostKey: shown!, serverVersion, over })
    })
    const verifyHost = (key: Buffer): boolean => {
      shown = key.toString('base64')
      refused = options.hostKey !== undefined && shown !== options.hostKey
      return !refused
    }
    try {
      client.connect({
        sock: socket as unknown as NonNullable<ConnectConfig['sock']>,
        username: options.username,
        privateKey: options.clientKey,
        algorithms: ALGORITHMS,
        authHandler: ['publickey'],
        readyTimeout: timeoutMs,
        keepaliveInterval: 0,
        hostVerifier: verifyHost,
      })
    } catch (error) {
      transport.destroy()
      reject(new TunnelError('protocol', (error as Error).message, 'this is a mistake in kt; please report it'))
    }
  })
}

function asTunnelError(error: Error & { level?: string }, hostKeyRefused: boolean, timeoutMs: number): TunnelError {
  if (hostKeyRefused)
    return new TunnelError(
      'host-key',
      'the SSH server behind the port-forward is not the shadow: its host key differs',
      '`kt down`, then `kt up` makes a new shadow',
    )
  if (error.level === 'client-authentication')
    return new TunnelError('auth', 'the shadow refused our key', '`kt down`, then `kt up` makes a new shadow')
  if (error.level === 'client-timeout')
    return new TunnelError(
      'timeout',
      `the shadow's SSH server said nothing for ${timeoutMs / 1000} s`,
      '`kubectl get pods` shows whether the shadow runs; `kt logs` has more',
    )
  if (error instanceof TunnelError) return error
  if (error.level === 'client-socket')
    return new TunnelError(
      'lost',
      `the port-forward broke: ${error.message}`,
      '`kubectl get pods` shows whether the shadow runs; `kt logs` has more',
    )
  return new TunnelError(
    'protocol',
    `the shadow's SSH server: ${error.message}`,
    '`kubectl logs` of the shadow may say why',
  )
}

/** How many characters of a command's output are kept. */
const MOST_OUTPUT = 64 * 1024

/** Runs a command; resolves with what it printed, undefined if it failed or took too long. */
export function runCommand(
  client: SshClient,
  command: string,
  timeoutMs: number,
  clock: Clock,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(timeoutMs, () => resolve(undefined))
    const done = (text: string | undefined) => {
      cancel()
      resolve(text)
    }
    client.exec(command, (error, channel) => {
      if (error) return done(undefined)
      let text = ''
      channel.on('error', () => {}) // `close` follows
      channel.on('data', (chunk: Buffer) => {
        if (text.length < MOST_OUTPUT) text += chunk.toString()
      })
      channel.on('close', (code: number | undefined) => done(code === 0 ? text : undefined))
    })
  })
}

/** Opens a session with a pty and leaves it open. OpenSSH sets TCP_NODELAY only then: without, connects take up to 45 ms. */
export function holdTerminal(client: SshClient): Promise<ClientChannel | undefined> {
  return new Promise((resolve) => {
    client.exec('cat', { pty: true }, (error, channel) => {
      if (error) return resolve(undefined)
      channel.on('error', () => {}) // `close` follows
      channel.resume()
      channel.stderr.resume()
      resolve(channel)
    })
  })
}
