// Connections from this machine to what is not the cluster's.
import { connect, type Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import type { IpAddress } from '../wire/address.ts'
import { directError, ReachError } from './errors.ts'

// The kernel itself waits for more than two minutes; no program that a person sits at does.
const CONNECT_MS = 30_000

/**
 * Connects to whichever of the addresses answers first (RFC 8305). The socket is half-open, and nobody reads it yet. Rejects with
 * ReachError. `socket` gets the socket at once, so that whoever gives up can destroy it.
 */
export function connectDirect(
  addresses: IpAddress[],
  port: number,
  { where, clock, socket: tell }: { where: string; clock: Clock; socket?(socket: Socket): void },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const all = addresses.map((address) => ({ address: address.toString(), family: address.family }))
    const socket = connect({
      // Node looks up names only, so one that stands for all the addresses is given.
      host: all.length === 1 ? all[0].address : 'addresses.invalid',
      lookup: (_name, options, done) => {
        if (options.all) (done as unknown as (error: null, all: object[]) => void)(null, all)
        else done(null, all[0].address, all[0].family)
      },
      ...{ port, autoSelectFamily: all.length > 1, allowHalfOpen: true, noDelay: true },
    })
    tell?.(socket)
    const cancel = clock.after(CONNECT_MS, () => {
      socket.destroy()
      reject(new ReachError('ETIMEDOUT', `${where} does not answer`, ''))
    })
    const failed = (error: NodeJS.ErrnoException) => {
      cancel()
      reject(directError(error, where))
    }
    const closed = () => failed(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
    socket.once('error', failed)
    socket.once('close', closed)
    socket.once('connect', () => {
      cancel()
      socket.off('error', failed)
      socket.off('close', closed)
      socket.on('error', () => {}) // `close` follows
      resolve(socket)
    })
  })
}
