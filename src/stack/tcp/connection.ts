// A flow as its owner sees it: the calls of TcpFlow on top of the control block.
import type { Endpoint } from '../../wire/address.ts'
import type { Rejection, TcpFlow } from '../api.ts'
import { sendRejection } from '../errors.ts'
import { emitReset } from './emit.ts'
import { resumeDelivery } from './receive.ts'
import { CLOSED, ESTABLISHED, STATE_NAMES, SYN_RECEIVED, SYN_SENT, TIME_WAIT } from './states.ts'
import { abandon, arm, conclude, release, startSequence, Tcb } from './tcb.ts'
import { onDeadline } from './timeouts.ts'

export class Connection extends Tcb implements TcpFlow {
  readonly protocol = 'tcp'
  private localEndpoint: Endpoint | null = null
  private remoteEndpoint: Endpoint | null = null

  get local(): Endpoint {
    this.localEndpoint ??= { address: this.localAddress(), port: this.localPort }
    return this.localEndpoint
  }

  get remote(): Endpoint {
    this.remoteEndpoint ??= { address: this.remoteAddress(), port: this.remotePort }
    return this.remoteEndpoint
  }

  get state(): string {
    return STATE_NAMES[this.stateCode]
  }

  get openedAt(): number {
    return this.core.callersTime(this.began)
  }

  get usedAt(): number {
    return this.core.callersTime(this.lastHeard)
  }

  get unacknowledged(): number {
    return (this.queue.end - this.queue.start) | 0
  }

  accept(): void {
    if (!this.pending) return
    this.pending = false
    this.synOwed = true
    this.retransmitAt = Number.POSITIVE_INFINITY
    arm(this)
    this.host.wake(this)
  }

  reject(reason: Rejection): void {
    if (!this.pending) return
    if (reason === 'refused') emitReset(this.core, this, 0, this.rcvNxt, true)
    else sendRejection(this.core, this, reason, this.irs)
    abandon(this, 'local-reset')
  }

  send(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.finQueued || this.stateCode === CLOSED || this.stateCode === TIME_WAIT) return
    this.queue.push(chunk)
    this.bytesSent += chunk.length
    this.host.wake(this)
  }

  end(): void {
    if (this.finQueued || this.stateCode === CLOSED || this.stateCode === TIME_WAIT) return
    this.finQueued = true
    this.host.wake(this)
  }

  reset(): void {
    if (this.over) return
    if (this.stateCode === TIME_WAIT) {
      conclude(this, 'local-reset')
      return
    }
    if (this.stateCode >= ESTABLISHED || this.pending) {
      emitReset(this.core, this, this.pending ? 0 : this.sndNxt, this.rcvNxt, true)
    } else if (this.stateCode === SYN_RECEIVED) {
      emitReset(this.core, this, (this.iss + 1) | 0, this.rcvNxt, true)
    }
    abandon(this, 'local-reset')
  }

  resume(): void {
    resumeDelivery(this)
  }

  onDeadline(now: number): void {
    onDeadline(this, now)
  }

  /** Begins SYN-RECEIVED for a SYN that the owner has to decide on. */
  beginPending(iss: number): void {
    startSequence(this, iss)
    this.pseudo = this.addressSum()
    this.stateCode = SYN_RECEIVED
    this.pending = true
    this.heardSyn()
  }

  /** Begins SYN-SENT. */
  beginConnect(iss: number): void {
    startSequence(this, iss)
    this.pseudo = this.addressSum()
    this.stateCode = SYN_SENT
    this.synOwed = true
    this.host.wake(this)
  }

  /** The program still wants it. */
  heardSyn(): void {
    this.retransmitAt = this.core.now + this.core.tuning.pendingTimeout
    arm(this)
  }

  /** Removes it: nothing is sent, and the owner is told nothing. */
  discard(): void {
    this.over = true
    release(this)
    this.host.ended(this)
  }
}
