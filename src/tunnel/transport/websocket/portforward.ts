// Kubernetes' port-forward over a WebSocket (subprotocol v4.channel.k8s.io). Messages
// begin with a channel byte: 0 is data of the first port, 1 its errors, and each channel's first message is the port
// number. Nothing is gathered into messages on the way in: pieces go on as they come.
import { systemClock } from '../../../base/clock.ts'
import { systemRandom } from '../../../base/random.ts'
import type { WebSocketTarget } from '../dial.ts'
import { ForwardPath } from '../forward-path.ts'
import type { Path } from '../path.ts'
import type { Framing } from '../transport.ts'
import { closeAnswer, FrameDecoder, MAX_HEADER, Opcode, sealFrame } from './frame.ts'
import { openWebSocket } from './handshake.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const DATA_CHANNEL = 0
const ERROR_CHANNEL = 1
/** Of the port number in front of each channel's data, little-endian. */
const PORT_BYTES = 2

/** Opens a port-forward. Rejects with TunnelError 'unreachable' or 'timeout'. */
export async function openWebSocketForward(
  endpoint: WebSocketTarget,
  timeoutMs = 15_000,
  signal?: AbortSignal,
  { clock = systemClock, random = systemRandom } = {},
): Promise<Path> {
  const { socket, inlet, encrypted } = await openWebSocket(endpoint, PROTOCOL, timeoutMs, signal, { clock, random })
  const headroom = MAX_HEADER + 1
  const framing: Framing = {
    headroom,
    alters: !encrypted,
    seal(slab, start, end) {
      slab[start - 1] = DATA_CHANNEL
      // Without TLS a proxy could be made to see bytes of an attacker's choice: RFC 6455 10.3.
      return sealFrame(Opcode.binary, slab, start - 1, end, encrypted ? undefined : random(4))
    },
  }
  const path = new ForwardPath(socket)
  const control = (opcode: number, payload: Uint8Array) => {
    if (socket.destroyed) return
    const frame = Buffer.alloc(MAX_HEADER + payload.length)
    frame.set(payload, MAX_HEADER)
    socket.write(frame.subarray(sealFrame(opcode, frame, MAX_HEADER, frame.length, random(4))))
  }

  // One a channel: bytes of the port number still to come.
  const portBytes = [PORT_BYTES, PORT_BYTES]
  let channel = DATA_CHANNEL
  let errorText = ''
  const decoder = new FrameDecoder({
    onPiece(piece, first) {
      if (first) {
        channel = piece[0]
        if (channel > ERROR_CHANNEL) return path.fail(`port-forward: data on channel ${channel}, which nobody opened`)
        piece = piece.subarray(1)
      }
      if (portBytes[channel] > 0) {
        const skip = Math.min(portBytes[channel], piece.length)
        portBytes[channel] -= skip
        piece = piece.subarray(skip)
      }
      if (piece.length === 0) return
      if (channel === DATA_CHANNEL) return path.deliver(piece)
      errorText += piece.toString()
      path.failed(errorText)
    },
    onPing: (payload) => control(Opcode.pong, payload),
    onClose(code, reason) {
      // RFC 6455 5.5.1: a close frame is answered with one.
      control(Opcode.close, closeAnswer(code))
      path.lost(`port-forward: closed by the cluster (${reason || code})`)
      socket.end()
    },
  })
  return path.over(
    'websocket',
    framing,
    inlet,
    (chunk) => decoder.push(chunk),
    () => control(Opcode.close, Uint8Array.of(1000 >>> 8, 1000 & 255)),
  )
}
