// The tunnel's surface: how to reach a shadow, and tunnels over it. The daemon makes a new tunnel when one is lost.
import { type Clock, systemClock } from '../base/clock.ts'
import { AgentTunnel } from './client/agent-tunnel.ts'
import { SshdTunnel } from './client/sshd-tunnel.ts'
import type { LineClient } from './line/client.ts'
import { openSession } from './ssh/ssh-session.ts'
import type { Transport } from './transport/transport.ts'
import type { Tunnel } from './tunnel.ts'

export { TunnelError } from './errors.ts'
export { LineClient } from './line/client.ts'
export { loadGcm, WITHOUT_COMPILED_GCM } from './ssh/native-gcm.ts'
export { type DoorMemory, type DoorNotes, FrontDoors } from './transport/front-doors.ts'
export { RefusedError } from './transport/http-upgrade.ts'
export { type Path, pathTransport } from './transport/path.ts'
export { openPortForward } from './transport/portforward.ts'
export { openTcp } from './transport/tcp.ts'
export type { Transport } from './transport/transport.ts'
export { runInPod } from './transport/websocket/exec.ts'

export interface TunnelOptions {
  /** Open and not started; the tunnel closes it. */
  transport: Transport
  kind: 'agent' | 'sshd'
  username: string
  /** Private key, OpenSSH PEM. */
  clientKey: string
  /** Host key in SSH wire format, base64: any other is refused. Undefined: taken as shown, see `ConnectedTunnel.hostKey`. */
  hostKey: string | undefined
  /** For all of it: key exchange, authentication, greeting. Default 15,000. */
  timeoutMs?: number
  /** Who is calling, `kt/0.1.0`: for the agent's log. */
  client?: string
  /** The line that `transport` belongs to: the agent gets its key. */
  line?: LineClient
  clock?: Clock
}

/** A tunnel over SSH. */
export interface ConnectedTunnel extends Tunnel {
  /** What the server showed: pin it when reconnecting to the same shadow. */
  readonly hostKey: string
}

/** Makes a tunnel over an open transport. Rejects with TunnelError; the transport is closed then. */
export async function connectTunnel(options: TunnelOptions): Promise<ConnectedTunnel> {
  const { transport } = options
  const clock = options.clock ?? systemClock
  const timeoutMs = options.timeoutMs ?? 15_000
  const session = await openSession({ ...options, timeoutMs, clock })
  if (options.kind === 'agent') {
    const tunnel = new AgentTunnel(session, transport, clock)
    await tunnel.greet(options.client ?? 'kt', timeoutMs, options.line)
    return tunnel
  }
  const tunnel = new SshdTunnel(session, transport, clock)
  await tunnel.greet(timeoutMs)
  return tunnel
}
