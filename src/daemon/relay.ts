// One TCP flow of a program on this machine, relayed through the tunnel: dial first, then SYN-ACK; bytes, FIN and RST
// each way as they came. Back pressure is each side's own: the stack's window closes while the tunnel takes nothing,
// and the tunnel gets credit only for what the program's kernel has acknowledged.
import type { Rejection, TcpFlow, TcpFlowHandler } from '../stack/api.ts'
import type { DialFailure, StreamHandler, Tunnel, TunnelStream } from '../tunnel/tunnel.ts'

const rejections: Record<DialFailure, Rejection> = {
  refused: 'refused',
  'host-unreachable': 'host-unreachable',
  'net-unreachable': 'net-unreachable',
  prohibited: 'prohibited',
  timeout: 'silence', // the program's own time-out decides, as inside the cluster
  lost: 'silence',
}

/** What a relay needs of a tunnel. */
export type RelayTunnel = Pick<Tunnel, 'openStream' | 'openDatagrams' | 'ping'> & {
  readonly info: Pick<Tunnel['info'], 'capabilities'>
}

/** Where flows wait while there is no tunnel, and who is told that something wants to be sent. */
export interface RelayContext {
  tunnel(): RelayTunnel | undefined
  /** Calls back once there is a tunnel again. Returns how to stop waiting. */
  whenConnected(callback: () => void): () => void
  wake(): void
  /** A program has sent something. */
  sent?(): void
  /** A flow is over, with how it ended, or why it could not be opened. */
  over?(flow: TcpFlow, how: string): void
}

/**
 * Relays one flow: starts dialling at once, returns what the stack is to call. Two handlers that share a closure, since
 * both sides name their events alike.
 */
export function relayTcp(flow: TcpFlow, context: RelayContext): TcpFlowHandler {
  let stream: TunnelStream | undefined
  let tunnelUsed: RelayTunnel | undefined
  let stopWaiting: (() => void) | undefined
  let flowOver = false
  let streamOver = false
  let told = false
  const tellOver = (how: string) => {
    if (!told) context.over?.(flow, how)
    told = true
  }

  const fromTunnel: StreamHandler = {
    // `consumed` follows the program's acknowledgement, after which the stack does not look at a chunk any more.
    returnsChunks: true,
    onOpen() {
      if (flowOver) return
      flow.accept()
      context.wake()
    },
    onFail(reason) {
      stream = undefined
      if (flowOver) return
      if (reason === 'lost') {
        dial(tunnelUsed) // the SYN is kept: the next tunnel dials for it
        return
      }
      streamOver = true
      tellOver(reason)
      flow.reject(rejections[reason])
      context.wake()
    },
    onData(chunk) {
      if (flowOver) return
      flow.send(chunk)
      context.wake()
    },
    onEnd() {
      if (flowOver) return
      flow.end()
      context.wake()
    },
    onDrain() {
      if (flowOver) return
      flow.resume()
      context.wake()
    },
    onClose(reason) {
      streamOver = true
      if (flowOver || reason === 'closed') return
      flow.reset()
      context.wake()
    },
  }

  function dial(dead?: RelayTunnel): void {
    const tunnel = context.tunnel()
    if (tunnel && tunnel !== dead) {
      tunnelUsed = tunnel
      stream = tunnel.openStream(flow.local, flow.remote, fromTunnel)
      return
    }
    stopWaiting = context.whenConnected(() => {
      stopWaiting = undefined
      dial()
    })
  }

  dial()
  return {
    onData: (buffer, start, end) => {
      context.sent?.()
      return stream && !streamOver ? stream.write(buffer, start, end) : 0
    },
    onEnd: () => {
      if (!streamOver) stream?.end()
    },
    onAcked: (bytes) => {
      if (!streamOver) stream?.consumed(bytes)
    },
    onClose: (reason) => {
      tellOver(reason)
      flowOver = true
      stopWaiting?.()
      if (reason !== 'closed' && !streamOver) stream?.reset()
    },
  }
}
