// The table of flows for people: what the stack counts of each, with the program's name and the cluster's name for its
// address. Made only when it is asked for.
import type { FlowReport, Flows } from '../control/views.ts'
import type { TcpFlow, UdpFlow } from '../stack/api.ts'
import { formatEndpoint } from '../wire/address.ts'
import type { AddressNames } from './address-names.ts'
import type { Processes } from './processes.ts'

/** Longest wait for programs whose sockets are looked for the first time; the next report has them. */
const PROGRAMS_MS = 25
/** A flow takes some 250 bytes of an answer, which is one line of the control socket. */
const MOST_FLOWS = 8_000

export interface FlowSources {
  flows(): Iterable<TcpFlow | UdpFlow>
  names: AddressNames | undefined
  processes: Processes
}

/** The flows, the most recently used first. Waits up to `waitMs` for names and programs that have to be found. */
export async function reportFlows({ flows, names, processes }: FlowSources, waitMs: number): Promise<Flows> {
  const all = [...flows()].sort((a, b) => b.usedAt - a.usedAt || b.id - a.id)
  const shown = all.slice(0, MOST_FLOWS)
  names?.lookUp(shown.map((flow) => flow.local.address))
  const named = waitMs > 0 && names ? within(names.settled(), waitMs) : undefined
  await within(processes.find(shown), Math.max(waitMs, PROGRAMS_MS))
  await named
  const now = performance.now()
  return { flows: shown.map((flow) => reportFlow(flow, now, names, processes)), total: all.length }
}

function reportFlow(
  flow: TcpFlow | UdpFlow,
  now: number,
  names: AddressNames | undefined,
  processes: Processes,
): FlowReport {
  return {
    id: flow.id,
    protocol: flow.protocol,
    state: flow.protocol === 'tcp' ? flow.state : 'OPEN',
    process: processes.ownerOf(flow) ?? null,
    local: formatEndpoint(flow.remote),
    remote: formatEndpoint(flow.local),
    name: names?.nameOf(flow.local.address) ?? null,
    bytesIn: flow.bytesSent,
    bytesOut: flow.bytesReceived,
    ageMs: Math.max(0, Math.round(now - flow.openedAt)),
    idleMs: Math.max(0, Math.round(now - flow.usedAt)),
  }
}

function within(promise: Promise<void>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void promise.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
