// Who is at the other end of a connection on loopback, where the system tells: the proxy is one user's, and its port can be
// reached by every user of the machine. The kernel's table of connections says whose each one is. Reading it takes it 5 us for
// each connection of the machine, those of the last minute included, which is too much where nobody else is logged in: so
// that is found out first.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '../../base/clock.ts'

export interface PeerFacts {
  /** Text of the kernel's tables of connections: /proc/net/tcp, /proc/net/tcp6. */
  tables(): Promise<string[]>
  /** Does anybody else have a process on this machine? */
  isShared(): boolean
}

// Somebody who has just come is noticed after so long.
const LOOK_AGAIN_MS = 1_000
/** login.defs(5), UID_MIN: smaller numbers are the system's own services. */
const FIRST_PERSON = 1_000
/** A process of root's may become somebody else's. */
const FORGET_MS = 30_000

/** Of a system that has such files; undefined where it has none. */
export function peerFacts(files: readonly string[], uid: number, now: () => number): PeerFacts | undefined {
  if (files.length === 0) return undefined
  const people = new People(uid, now)
  return {
    tables: () => Promise.all(files.map((file) => readFile(file, 'latin1').catch(() => ''))),
    isShared: () => people.look(),
  }
}

/**
 * Checks that clients belong to `uid` or to root. Tables are read once for all clients that come meanwhile. Where there are no
 * facts, everybody on the machine may come.
 */
export function peerCheck(
  uid: number,
  facts: PeerFacts | undefined,
  clock: Pick<Clock, 'now'> = systemClock,
): (socket: Socket) => Promise<boolean> {
  if (!facts) return async () => true
  let shared = true
  let lookedAt = Number.NEGATIVE_INFINITY
  let next: Promise<Map<number, number>> | undefined
  let reading: Promise<unknown> = Promise.resolve()
  const owners = (port: number): Promise<Map<number, number>> => {
    // A client that comes while the tables are read may not be in them yet.
    next ??= reading.then(() => {
      next = undefined
      const now = facts.tables().then((tables) => clientsOf(port, tables))
      reading = now.catch(() => {})
      return now
    })
    return next
  }
  return async (socket) => {
    const { remotePort, localPort } = socket
    if (remotePort === undefined || localPort === undefined) return false
    if (clock.now() - lookedAt >= LOOK_AGAIN_MS) {
      lookedAt = clock.now()
      shared = facts.isShared()
    }
    if (!shared) return true
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

/** The people with processes on this machine, by /proc. */
class People {
  readonly #uid: number
  readonly #now: () => number
  /** Processes that are root's. */
  #roots = new Set<string>()
  #forgottenAt = 0

  constructor(uid: number, now: () => number) {
    this.#uid = uid
    this.#now = now
  }

  /** True when somebody else is there, or when that cannot be seen. */
  look(): boolean {
    if (this.#now() - this.#forgottenAt > FORGET_MS) {
      this.#forgottenAt = this.#now()
      this.#roots.clear()
    }
    try {
      // A /proc that hides the processes of others (mount option hidepid) hides this one, too.
      statSync('/proc/1')
      return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && this.#isStranger(pid))
    } catch {
      return true
    }
  }

  #isStranger(pid: string): boolean {
    try {
      const { uid } = statSync(`/proc/${pid}`)
      if (uid === 0 ? this.#roots.has(pid) : !this.#isOther(uid)) return false
      // A process may have its folder belong to root (prctl(2), PR_SET_DUMPABLE); its status says whose it is.
      const status = readFileSync(`/proc/${pid}/status`, 'latin1')
      const real = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? 0)
      if (real === 0) this.#roots.add(pid)
      // One with a number in a namespace of its own is in a container, whose loopback is another one.
      return this.#isOther(real) && !/^NSpid:\s+\d+\s+\d/m.test(status)
    } catch {
      return false // it has just ended
    }
  }

  #isOther(uid: number): boolean {
    return uid >= FIRST_PERSON && uid !== this.#uid
  }
}
