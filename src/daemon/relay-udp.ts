// Datagrams and pings of this machine's programs, relayed through the tunnel where the shadow can.
import type { EchoRequest, UdpFlow, UdpFlowHandler } from '../stack/api.ts'
import type { TunnelDatagrams } from '../tunnel/tunnel.ts'
import type { RelayContext } from './relay.ts'

/** The kernel's default for ping is to wait 10 s for late answers; nothing older is worth an answer. */
const PING_TIMEOUT_MS = 10_000

/** Relays one UDP flow. Without a tunnel its datagrams are lost, as on any line; a shadow without UDP refuses them. */
export function relayUdp(flow: UdpFlow, context: RelayContext): UdpFlowHandler | undefined {
  let datagrams: TunnelDatagrams | undefined
  let over = false

  const open = (): TunnelDatagrams | undefined => {
    const tunnel = context.tunnel()
    if (!tunnel) return undefined
    return tunnel.openDatagrams(flow.local, {
      onDatagram(payload) {
        if (over) return
        flow.send(payload)
        context.wake()
      },
      onFail(reason) {
        datagrams = undefined
        if (over || reason === 'lost' || reason === 'timeout') return
        over = true
        flow.reject(reason)
        context.wake()
      },
    })
  }

  return {
    onDatagram(buffer, start, end) {
      context.sent?.()
      const tunnel = context.tunnel()
      if (tunnel && !tunnel.info.capabilities.udp) {
        over = true
        flow.reject('refused')
        return
      }
      datagrams ??= open()
      datagrams?.send(buffer.subarray(start, end))
    },
    onClose() {
      over = true
      datagrams?.close()
    },
  }
}

/** Answers a ping only if the far side did. */
export function relayEcho(request: EchoRequest, context: RelayContext): void {
  const tunnel = context.tunnel()
  if (!tunnel?.info.capabilities.ping) return
  tunnel.ping(request.local, request.payload, PING_TIMEOUT_MS).then(
    (answered) => {
      if (!answered) return
      request.reply()
      context.wake()
    },
    () => {}, // the tunnel was lost: silence
  )
}
