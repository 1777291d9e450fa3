// Ends a TCP socket with a reset. libuv refuses that while a FIN is on its way (uv_tcp_close_reset, EINVAL), and Node then
// takes the socket for destroyed and never closes it. The other side has been told of the end by then, so a close will do.
import type { Socket } from 'node:net'

export function resetSocket(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}
