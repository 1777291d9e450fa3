// What the tunnel's benchmark talks to, as a process of its own: TCP ports that send for ever, discard and echo; UDP that echoes.
import { createSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

const block = Buffer.alloc(256 * 1024, 'kt')

function listen(serve: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

const source = await listen((socket) => {
  const more = () => {
    while (socket.write(block));
  }
  socket.on('drain', more)
  more()
})
const discard = await listen((socket) => socket.resume())
const echo = await listen((socket) => socket.pipe(socket))
const udp = createSocket('udp4')
udp.on('message', (payload, from) => udp.send(payload, from.port, from.address))
await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve))
process.send?.({ source, discard, echo, udp: udp.address().port })
process.on('disconnect', () => process.exit())
