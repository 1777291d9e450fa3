// How kt does, told each second to whoever watches. A caller that does not read is not told more: what it missed is in
// the totals of the next event it takes, and questions to the DNS server it finds in the log.

import type { ControlCaller } from '../control/control-server.ts'
import type { Status } from '../control/protocol.ts'
import type { DnsLogEntry, WatchEvent } from '../control/views.ts'

const EVERY_MS = 1000
/** Bytes told and not read, above which an event is left out. */
const MOST_BACKLOG = 256 << 10

export interface WatchSources {
  status(): Status
  dnsLog(since: number): DnsLogEntry[]
}

/** Tells at once and then each second; resolves when the caller has gone. */
export function watch(
  sources: WatchSources,
  withDns: boolean,
  tell: (event: WatchEvent) => void,
  caller: ControlCaller,
): Promise<Record<string, never>> {
  let seen = withDns ? (sources.dnsLog(0).at(-1)?.seq ?? 0) : 0
  const tick = () => {
    if (caller.backlog() > MOST_BACKLOG) return
    const { state, since, flows, bytes, roundTripMs, reconnects, memoryBytes } = sources.status()
    const dns = withDns ? sources.dnsLog(seen) : []
    seen = dns.at(-1)?.seq ?? seen
    const at = new Date().toISOString()
    tell({ at, state, since, flows, bytes, roundTripMs, reconnects, memoryBytes, dns })
  }
  return new Promise((resolve) => {
    const timer = setInterval(tick, EVERY_MS)
    const over = () => {
      clearInterval(timer)
      resolve({})
    }
    caller.signal.addEventListener('abort', over, { once: true })
    if (caller.signal.aborted) over()
    else tick()
  })
}
