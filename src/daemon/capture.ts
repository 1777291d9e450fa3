// Packets of this machine's programs for whoever captures them: pcapng blocks with the names of services and programs.
// Held back for a moment, so that a name that has to be asked for is there; bounded, and what does not fit is counted.
import type { ControlCaller } from '../control/control-server.ts'
import type { CaptureEvent } from '../control/views.ts'
import { fileHeader, namesBlock, packetBlock } from '../tun/pcapng.ts'
import type { TappedDevice } from '../tun/tap.ts'
import type { IpAddress } from '../wire/address.ts'
import { IpView } from '../wire/ip.ts'
import { VNET_HDR_LEN } from '../wire/vnet.ts'
import type { AddressNames } from './address-names.ts'
import { type CapturedFlow, CapturedFlows } from './captured-flows.ts'
import type { Processes } from './processes.ts'

/** How long packets are held back, and how many bytes of them at most. */
const HOLD_MS = 100
const HOLD_BYTES = 512 << 10
/** Bytes told and not yet written by the caller, above which packets are dropped. */
const MOST_BACKLOG = 16 << 20

export interface CaptureSources {
  device: TappedDevice
  /** `kt 0.1.0`, for the file's header. */
  application: string
  names: AddressNames | undefined
  processes: Processes
  /** The addresses to capture; all if undefined. */
  addresses: ReadonlyMap<string, IpAddress> | undefined
}

interface Held {
  packet: Uint8Array
  microseconds: number
  direction: 'in' | 'out'
  flow: CapturedFlow
  dropped: number
}

/** Captures until the caller has gone. */
export function capture(
  sources: CaptureSources,
  tell: (event: CaptureEvent) => void,
  caller: ControlCaller,
): Promise<Record<string, never>> {
  const { device, application, names, processes, addresses } = sources
  const flows = new CapturedFlows(names, processes, addresses && ((address) => addresses.has(address.toString())))
  const view = new IpView()
  const named = new Set<string>()
  let held: Held[] = []
  let heldBytes = 0
  /** Since the last packet that was held, and since the last event. */
  let dropped = 0
  let untold = 0

  const see = (
    direction: 'in' | 'out',
    buffer: Uint8Array,
    offsets: Uint32Array,
    lengths: Uint32Array,
    count: number,
  ) => {
    const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000)
    for (let i = 0; i < count; i++) {
      const start = offsets[i] + VNET_HDR_LEN
      if (!view.parse(buffer, start, offsets[i] + lengths[i])) continue
      const flow = flows.of(view, direction)
      if (!flow.wanted) continue
      const length = view.end - start
      if (heldBytes + length > HOLD_BYTES) release()
      if (heldBytes + length > HOLD_BYTES || caller.backlog() > MOST_BACKLOG) {
        dropped++
        untold++
        continue
      }
      held.push({ packet: buffer.slice(start, view.end), microseconds, direction, flow, dropped })
      dropped = 0
      heldBytes += length
    }
  }

  const release = () => {
    if ((held.length === 0 && untold === 0) || caller.backlog() > MOST_BACKLOG) return
    const fresh: [IpAddress, string][] = []
    for (const { flow } of held) {
      const text = flow.address.toString()
      const name = named.has(text) ? undefined : names?.nameOf(flow.address)
      if (name === undefined) continue
      named.add(text)
      fresh.push([flow.address, name])
    }
    if (fresh.length > 0) tell(event('names', namesBlock(fresh)))
    const blocks = held.map(({ packet, microseconds, direction, flow, dropped }) =>
      packetBlock(packet, 0, packet.length, microseconds, { direction, comment: flows.noteOf(flow), dropped }),
    )
    tell(event('packets', Buffer.concat(blocks), held.length, untold))
    untold = 0
    held = []
    heldBytes = 0
  }

  let asking = false
  const onTimer = async () => {
    if (asking) return
    asking = true
    names?.lookUp(held.map(({ flow }) => flow.address))
    await processes.find(held.flatMap(({ flow }) => (flow.pair ? [flow.pair] : [])))
    asking = false
    release()
  }

  return new Promise((resolve) => {
    tell(event('header', fileHeader(application, device.name)))
    const stop = device.tap(see)
    const timer = setInterval(onTimer, HOLD_MS)
    const over = () => {
      stop()
      clearInterval(timer)
      resolve({})
    }
    caller.signal.addEventListener('abort', over, { once: true })
    if (caller.signal.aborted) over()
  })
}

const event = (kind: CaptureEvent['kind'], data: Buffer, count = 0, dropped = 0): CaptureEvent => ({
  kind,
  data: data.toString('base64'),
  count,
  dropped,
})
