// What the proxy is built on, and what its doors (SOCKS, HTTP) need to serve one client.
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Reach } from '../../reach/reach.ts'
import type { SpliceCounters } from '../inbound/splice.ts'
import type { UdpAssociations } from './udp-associations.ts'

export interface ProxyCounters extends SpliceCounters {
  total: number
  open: number
  /** That could not be made. */
  failed: number
}

export interface ProxyServerOptions {
  reach: Reach
  clock: Clock
  counters: ProxyCounters
  /** The port that clients come to. */
  port(): number
  /** Whether whoever is at the other end of the socket may use it. */
  isAllowed(socket: Socket): Promise<boolean>
  /** The PAC file's text. */
  pac(): string
  log(line: string): void
}

/** What the doors need to serve one client. */
export interface DoorContext extends ProxyServerOptions {
  associations: UdpAssociations
  /** The client has said what it wants. */
  settled(socket: Socket): void
}
