// The port-forward of the API-server double, as kube-apiserver speaks it to WebSocket clients (subprotocol
// v4.channel.k8s.io): channel 2i carries the bytes of port i, 2i+1 its error, and the first message of each is the port
// number. It can be cut after so many bytes, stalled, or dropped.
import type { IncomingMessage } from 'node:http'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Faults } from './faults.ts'

const protocol = 'v4.channel.k8s.io'
const highWater = 1 << 20

export class PortForwards {
  readonly #faults: Faults
  readonly #open = new Set<Forward>()
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  })

  constructor(faults: Faults) {
    this.#faults = faults
  }

  get count(): number {
    return this.#open.size
  }

  /** Bytes towards the laptop over all forwards that are open. */
  get bytes(): number {
    return [...this.#open].reduce((sum, forward) => sum + forward.bytesDown, 0)
  }

  /** Takes an upgrade request over. `dial` finds the pod's port on this machine. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, port: number, target: number): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      if (ws.protocol !== protocol) return ws.close(1002, `only ${protocol} is spoken here`)
      const forward = new Forward(ws, port, target, this.#faults)
      this.#open.add(forward)
      ws.on('close', () => this.#open.delete(forward))
    })
  }

  /** Ends all of them: with a reset of the connection, as when the API server dies. */
  drop(): void {
    for (const forward of this.#open) forward.drop()
  }

  /** After a change of `stallForward`. */
  resume(): void {
    for (const forward of this.#open) forward.resume()
  }
}

class Forward {
  bytesDown = 0
  readonly #ws: WebSocket
  readonly #pod: net.Socket
  readonly #faults: Faults
  readonly #stalled: Buffer[] = []

  constructor(ws: WebSocket, port: number, target: number, faults: Faults) {
    this.#ws = ws
    this.#faults = faults
    this.#pod = net.connect({ host: '127.0.0.1', port: target, noDelay: true })
    const number = Buffer.from([port & 255, port >> 8])
    ws.send(Buffer.concat([Buffer.from([0]), number]))
    ws.send(Buffer.concat([Buffer.from([1]), number]))
    ws.on('message', (data: Buffer) => this.#fromLaptop(data))
    ws.on('close', () => this.#pod.destroy())
    ws.on('error', () => this.#pod.destroy())
    this.#pod.on('data', (chunk) => this.#fromPod(chunk))
    this.#pod.on('drain', () => ws.resume())
    this.#pod.on('error', (error) => {
      // The kubelet's words; kubectl ends the whole forward on it, and so does containerd.
      const text = `an error occurred forwarding ${port} -> ${port}: ${error.message}`
      ws.send(Buffer.concat([Buffer.from([1]), Buffer.from(text)]))
    })
    this.#pod.on('close', () => {
      ws.resume() // or the laptop's own close would not be seen
      ws.close(1000)
    })
  }

  #fromLaptop(data: Buffer): void {
    if (data[0] !== 0 || data.length < 2) return
    if (this.#faults.stallForward) {
      this.#stalled.push(Buffer.from(data.subarray(1)))
      this.#ws.pause()
    } else if (!this.#pod.destroyed && !this.#pod.write(data.subarray(1))) this.#ws.pause()
  }

  #fromPod(chunk: Buffer): void {
    if (this.#faults.stallForward) {
      this.#pod.pause()
      this.#pod.unshift(chunk)
      return
    }
    this.bytesDown += chunk.length
    this.#ws.send(Buffer.concat([Buffer.from([0]), chunk]), () => {
      if (this.#ws.bufferedAmount < highWater && !this.#faults.stallForward) this.#pod.resume()
    })
    if (this.#ws.bufferedAmount >= highWater) this.#pod.pause()
    if (this.#faults.cutForwardAfter !== undefined && this.bytesDown >= this.#faults.cutForwardAfter) this.drop()
  }

  resume(): void {
    if (this.#faults.stallForward) return
    for (const chunk of this.#stalled.splice(0)) this.#pod.write(chunk)
    this.#ws.resume()
    this.#pod.resume()
  }

  drop(): void {
    this.#ws.terminate()
    this.#pod.destroy()
  }
}
