// A port of this machine's loopback that leads to a port of the command in a shell.
import type { Socket } from 'node:net'
import { resetSocket } from '../../base/reset.ts'
import type { ShellPort } from '../../control/holder.ts'
import { type LocalPort, listenLocal } from '../inbound/listen-local.ts'
import type { Complaints } from '../inbound/once.ts'
import { dialProgram, type ProgramNetwork } from '../inbound/program-network.ts'
import { portWords } from './words.ts'

export class PublishedPort {
  readonly inside: number
  readonly #port: ShellPort
  readonly #network: ProgramNetwork
  readonly #complaints: Complaints
  readonly #open = new Set<Socket>()
  #local: LocalPort | undefined

  constructor(port: ShellPort, network: ProgramNetwork, complaints: Complaints) {
    this.#port = port
    this.inside = port.inside
    this.#network = network
    this.#complaints = complaints
  }

  /** 0 until it is listened on. */
  get local(): number {
    return this.#local?.port ?? 0
  }

  /** Rejects with ToldError where the port is taken. */
  async listen(): Promise<void> {
    this.#local = await listenLocal(this.#port.local, (socket) => void this.#serve(socket))
  }

  close(): void {
    this.#local?.close()
    for (const socket of this.#open) socket.destroy()
  }

  async #serve(outer: Socket): Promise<void> {
    outer.on('error', () => {})
    let inner: Socket
    try {
      inner = (await dialProgram(this.#network, this.inside)).socket
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      this.#complaints.complain('dial', portWords(this.inside, code))
      resetSocket(outer)
      return
    }
    this.#complaints.well('dial')
    join(outer, inner)
    for (const socket of [outer, inner]) {
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
    }
  }
}

/** Passes bytes, ends and resets both ways. */
function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ]) {
    from.on('error', () => {})
    from.on('close', (failed) => {
      // Without both FINs it was a reset, and a cut download must not look whole.
      if (failed || !from.readableEnded) resetSocket(to)
    })
    from.pipe(to)
  }
}
