// The tunnel to any OpenSSH server: TCP only. Resets can be told from ends only while our side is still sending.

import type { ClientChannel } from 'ssh2'
import type { Clock } from '../../base/clock.ts'
import { TunnelError, UnsupportedError } from '../errors.ts'
import { pingServer } from '../ssh/internals.ts'
import { holdTerminal, runCommand, type Session } from '../ssh/ssh-session.ts'
import type { Transport } from '../transport/transport.ts'
import type { ShadowInfo, TunnelDatagrams, TunnelListener } from '../tunnel.ts'
import { SshTunnel } from './ssh-tunnel.ts'

export class SshdTunnel extends SshTunnel {
  info: ShadowInfo
  #terminal: ClientChannel | undefined

  constructor(session: Session, transport: Transport, clock: Clock) {
    super(session, transport, clock)
    session.mux.limitSending = true
    this.info = {
      kind: 'sshd',
      version: session.serverVersion,
      capabilities: { udp: false, ping: false, reset: false },
      addresses: [],
      resolvConf: undefined,
    }
  }

  /** Makes the server quick (TCP_NODELAY) and reads the pod's resolver. Rejects with TunnelError. */
  async greet(timeoutMs: number): Promise<void> {
    const lost = this.closed.then(({ message }) => {
      throw new TunnelError('lost', `the shadow: ${message}`, 'try again; `kt logs` has more')
    })
    const [terminal, resolvConf] = await Promise.race([
      Promise.all([
        holdTerminal(this.session.client),
        runCommand(this.session.client, 'cat /etc/resolv.conf', timeoutMs, this.clock),
      ]),
      lost,
    ])
    // Ours to keep, or it would be collected with its session still open.
    this.#terminal = terminal
    terminal?.on('close', () => {
      if (this.#terminal === terminal) this.#terminal = undefined
    })
    this.info = { ...this.info, resolvConf }
    await Promise.race([this.probe(timeoutMs), lost])
  }

  openDatagrams(): TunnelDatagrams {
    throw new UnsupportedError('UDP')
  }

  listen(): Promise<TunnelListener> {
    return Promise.reject(new UnsupportedError('serving a port of the cluster'))
  }

  ping(): Promise<boolean> {
    return Promise.resolve(false)
  }

  protected beat(answered: () => void): void {
    pingServer(this.session.client, (error) => {
      if (!(error instanceof Error) || error.message !== 'No response from server') answered()
    })
  }

  protected datagramFlows(): number {
    return 0
  }

  protected ownChannels(): number {
    return 0
  }

  protected whenOver(): void {
    this.#terminal = undefined
  }
}
