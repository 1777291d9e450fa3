// A port of this machine for its own programs: on 127.0.0.1 and ::1, with words for why it cannot be had.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { basename } from 'node:path'
import { listening } from '../../base/listen.ts'
import { ToldError } from '../../base/told-error.ts'

// With port 0 the system picks one of 127.0.0.1; on ::1 somebody else may have it.
const MOST_PICKS = 10

export interface LocalPort {
  port: number
  close(): void
}

/** Sockets come paused and half-open. Rejects with an error that has `code` and `hint`; `otherwise` says how to have another. */
export async function listenLocal(
  port: number,
  onSocket: (socket: Socket) => void,
  otherwise?: string,
): Promise<LocalPort> {
  for (let picks = 1; ; picks++) {
    const v4 = await listen('127.0.0.1', port, onSocket).catch((error) => {
      throw explain(error, port, otherwise)
    })
    const chosen = (v4.address() as { port: number }).port
    try {
      const v6 = await listen('::1', chosen, onSocket)
      return { port: chosen, close: () => void [v4.close(), v6.close()] }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      // A machine without IPv6 has no ::1.
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return { port: chosen, close: () => void v4.close() }
      v4.close()
      if (port !== 0 || picks === MOST_PICKS) throw explain(error as NodeJS.ErrnoException, chosen, otherwise)
    }
  }
}

async function listen(host: string, port: number, onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, onSocket)
  await listening(server, { host, port })
  return server
}

function explain(error: NodeJS.ErrnoException, port: number, otherwise?: string): Error {
  if (error.code === 'EADDRINUSE') {
    const who = holderOf(port)
    return new ToldError(
      'port-taken',
      `port ${port} of this machine is taken${who ? ` by ${who}` : ''}`,
      otherwise ?? 'name another LOCAL port, or 0 for any free one',
    )
  }
  if (error.code === 'EACCES')
    return new ToldError(
      'port-forbidden',
      `port ${port} of this machine needs root`,
      otherwise ?? 'name a LOCAL port from 1024 on, or 0 for any free one',
    )
  return new ToldError(
    'port',
    `port ${port} of this machine cannot be listened on: ${error.message}`,
    otherwise ?? 'name another LOCAL port',
  )
}

/** `node (4711)`: the process that listens on a port, as far as this user may see it. */
function holderOf(port: number): string | undefined {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)))
  for (const pid of readSafely(() => readdirSync('/proc'), []).filter((name) => /^\d+$/.test(name))) {
    for (const fd of readSafely(() => readdirSync(`/proc/${pid}/fd`), [])) {
      const link = readSafely(() => readlinkSync(`/proc/${pid}/fd/${fd}`), '')
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1]
      if (inode && inodes.has(inode)) return `${programName(pid)} (process ${pid})`
    }
  }
  return undefined
}

/** Node 24 calls its first thread `MainThread`, which tells nobody which program that is. */
function programName(pid: string): string {
  const name = readSafely(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), '?')
  return name === 'MainThread' ? readSafely(() => basename(readlinkSync(`/proc/${pid}/exe`)), name) : name
}

// proc(5): local address in the second column as HEX:PORT, state 0A is LISTEN, the inode in the tenth.
function listeningInodes(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return readSafely(() => readFileSync(table, 'utf8'), '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hex}`) && fields[3] === '0A')
    .map((fields) => fields[9])
}

function readSafely<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}
