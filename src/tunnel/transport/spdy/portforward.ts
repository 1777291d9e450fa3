// Kubernetes' port-forward over SPDY/3.1 (protocol portforward.k8s.io): two streams a connection, one for the data of the
// port, one for an error in words. Nothing is gathered into frames on the way in: pieces go on as they come.

import { type Clock, systemClock } from '../../../base/clock.ts'
import { TunnelError } from '../../errors.ts'
import type { WebSocketTarget } from '../dial.ts'
import { ForwardPath } from '../forward-path.ts'
import { upgrade } from '../http-upgrade.ts'
import type { Path } from '../path.ts'
import type { Framing } from '../transport.ts'
import { SPDY_HEADER, SpdyDecoder, StreamOpener, sealData } from './frame.ts'

const PROTOCOL = 'portforward.k8s.io'
const ERROR_STREAM = 1
const DATA_STREAM = 3
/** How long the error stream, which says why, may come after the end of the data. */
const WHY_MS = 250
const CLOSED = 'port-forward: closed by the cluster'

/** Opens it. Rejects with TunnelError 'unreachable' or 'timeout'; 'protocol' if the server switched to something else. */
export async function openSpdyForward(
  endpoint: WebSocketTarget,
  timeoutMs: number,
  signal?: AbortSignal,
  clock: Clock = systemClock,
): Promise<Path> {
  const port = new URL(endpoint.url).searchParams.get('ports') ?? ''
  const lines = ['Upgrade: SPDY/3.1', `X-Stream-Protocol-Version: ${PROTOCOL}`, 'Content-Length: 0']
  const { socket, inlet, answer } = await upgrade(endpoint, 'POST', '', lines, timeoutMs, signal, clock)
  if (answer.headers.get('upgrade')?.toLowerCase() !== 'spdy/3.1') {
    socket.destroy()
    throw new TunnelError(
      'protocol',
      'port-forward: the server switched to something that is not SPDY',
      'a proxy before the API server may answer in its place: check HTTPS_PROXY and the proxy-url of the kubeconfig',
    )
  }
  const opener = new StreamOpener()
  const headers = (type: string): [string, string][] => [
    ['streamtype', type],
    ['port', port],
    ['requestid', '0'],
  ]
  socket.write(
    Buffer.concat([
      opener.open(ERROR_STREAM, headers('error'), true),
      opener.open(DATA_STREAM, headers('data'), false),
    ]),
  )
  const framing: Framing = {
    headroom: SPDY_HEADER,
    seal: (slab, start, end) => sealData(DATA_STREAM, slab, start, end),
  }
  const path = new ForwardPath(socket)
  let dataEnded = false
  const decoder = new SpdyDecoder({
    onData: (stream, piece) => (stream === DATA_STREAM ? path.deliver(piece) : path.failed(piece.toString())),
    onFin(stream) {
      if (stream === DATA_STREAM) {
        socket.once(
          'close',
          clock.after(WHY_MS, () => path.fail(CLOSED)),
        )
      } else if (dataEnded) path.fail(CLOSED)
      dataEnded ||= stream === DATA_STREAM
    },
    onPing: (frame) => void socket.write(frame),
    onReset: (stream) => path.fail(`port-forward: the cluster reset stream ${stream}`),
    onGoAway: () => path.lost(CLOSED),
  })
  return path.over(
    'spdy',
    framing,
    inlet,
    (chunk) => decoder.push(chunk),
    () => {},
  )
}
