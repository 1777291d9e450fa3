// Who is at the other end of a connection on loopback, where the system tells: the proxy is one user's, and its port can be
// reached by every user of the machine.
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/** Text of the kernel's tables of connections: /proc/net/tcp, /proc/net/tcp6. */
export type ReadTables = () => Promise<string[]>

/** Reads files; undefined where the system has none. */
export function tableReader(files: readonly string[]): ReadTables | undefined {
  if (files.length === 0) return undefined
  return () => Promise.all(files.map((file) => readFile(file, 'latin1').catch(() => '')))
}

/**
 * Checks that clients belong to `uid` or to root. Tables are read once for all clients that come meanwhile, since the kernel
 * takes milliseconds for them on a busy machine. Where there are no tables, everybody on the machine may come.
 */
export function peerCheck(uid: number, read: ReadTables | undefined): (socket: Socket) => Promise<boolean> {
  if (!read) return async () => true
  let next: Promise<Map<number, number>> | undefined
  let reading: Promise<unknown> = Promise.resolve()
  const owners = (port: number): Promise<Map<number, number>> => {
    // A client that comes while the tables are read may not be in them yet.
    next ??= reading.then(() => {
      next = undefined
      const now = read().then((tables) => clientsOf(port, tables))
      reading = now.catch(() => {})
      return now
    })
    return next
  }
  return async (socket) => {
    const { remotePort, localPort } = socket
    if (remotePort === undefined || localPort === undefined) return false
    const owner = (await owners(localPort)).get(remotePort)
    return owner === uid || owner === 0
  }
}

/** The users of the clients of `port` by their ports. proc(5): addresses as HEX:PORT in columns 2 and 3, the uid in column 8. */
export function clientsOf(port: number, tables: string[]): Map<number, number> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const row = new RegExp(`^ *\\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:${hex} (\\w\\w) \\S+ \\S+ \\S+ +(\\d+) `, 'gm')
  const owners = new Map<number, number>()
  for (const table of tables) {
    for (const [, client, state, uid] of table.matchAll(row)) {
      // TIME_WAIT (06) has no owner any more and shows root's.
      if (state !== '06') owners.set(Number.parseInt(client, 16), Number(uid))
    }
  }
  return owners
}
