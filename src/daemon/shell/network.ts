// The network of a shell: our stack behind the TUN of its namespace, names, and for each flow the way that it takes. It is
// `kt up`'s data path; what differs is that here every packet comes to the stack, not only those for the cluster.
import { networkInterfaces } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import type { NamesOfCluster } from '../../connection/cluster-names.ts'
import type { Pinger } from '../../shadow/ping.ts'
import type { EchoRequest, StackCounters, TcpFlow, UdpFlow } from '../../stack/api.ts'
import type { TunDevice } from '../../tun/device.ts'
import type { Tunnel } from '../../tunnel/tunnel.ts'
import { IpAddress } from '../../wire/address.ts'
import { createDataPath, type DataPath } from '../data-path.ts'
import { NameService } from '../names.ts'
import { localResolvers } from '../network.ts'
import { EVERY_MS, NetworkWatch, seeNetwork } from '../network-watch.ts'
import { type RelayContext, relayTcp } from '../relay.ts'
import { relayEcho, relayUdp } from '../relay-udp.ts'
import { Outside } from './outside.ts'
import { type Way, Ways } from './ways.ts'

export const MTU = 1500
/** How long the addresses of this machine's loopback device are taken to be the same. */
const LOOPBACK_MS = 1_000

/** A shell's own addresses. */
export interface ShellAddresses {
  /** The device's, with prefix lengths, one a family. */
  device: string[]
  dns: IpAddress
  /** Stands for this machine's loopback. */
  machine: IpAddress
  /** All that is ours, CIDR text. */
  blocks: string[]
}

export interface ShellNetworkOptions {
  device: TunDevice
  addresses: ShellAddresses
  /** What the tunnel leads to, CIDR text. */
  ranges: string[]
  names: NamesOfCluster
  tunnels: Omit<RelayContext, 'wake'>
  pinger(): Promise<Pinger | undefined>
  clock: Clock
  random(): number
  onDeviceFailed(error: Error): void
  /** This machine's ways out have changed. */
  onWays(): void
}

export class ShellNetwork {
  readonly #names: NameService
  readonly #path: DataPath
  readonly #watch: NetworkWatch
  readonly #outside: Outside
  readonly #machine: Outside

  constructor(options: ShellNetworkOptions) {
    const { device, addresses, ranges, tunnels, pinger, clock, random, onDeviceFailed, onWays } = options
    const { dns, machine } = addresses
    const resolvers = localResolvers()
    this.#names = new NameService({
      ...{ cluster: options.names, ranges, machine, random, clock, ...resolvers },
      onDomains: () => {},
    })
    this.#outside = new Outside({ pinger })
    // Programs here listen on either; which one is tried first is as glibc orders them.
    this.#machine = new Outside({ pinger, targets: () => ['127.0.0.1', '::1'] })
    const sources = addresses.device.map((cidr) => IpAddress.parse(cidr.split('/')[0]))
    const path = createDataPath(
      device,
      { clock, mtu: MTU, gso: true, random, ownAddresses: [dns], sources },
      onDeviceFailed,
    )
    this.#path = path
    const ways = new Ways({ cluster: ranges, machine, own: addresses.blocks, loopback: loopbackAddresses(clock) })
    const contexts: Record<Exclude<Way, 'nowhere'>, RelayContext> = {
      cluster: { ...tunnels, wake: path.wake },
      outside: always(this.#outside, path.wake),
      machine: always(this.#machine, path.wake),
    }
    path.stack.setHandlers({
      onTcp: (flow: TcpFlow) => {
        const way = ways.of(flow.local.address)
        if (way !== 'nowhere') return relayTcp(flow, contexts[way])
        flow.reject('net-unreachable')
        return undefined
      },
      onUdp: (flow: UdpFlow) => {
        const way = ways.of(flow.local.address)
        return way === 'nowhere' ? undefined : relayUdp(flow, contexts[way])
      },
      onEcho: (request: EchoRequest) => {
        const way = ways.of(request.local)
        if (way === 'machine') {
          request.reply()
          path.wake()
        } else if (way !== 'nowhere') relayEcho(request, contexts[way])
      },
    })
    this.#names.listen(path, dns)
    this.#watch = new NetworkWatch({
      // `none`: no resolver of this machine is changed by a shell, so each of them counts.
      see: () => seeNetwork('none', []),
      after: (ms, call) => clock.after(ms, call),
      onChange: (upstreams) => this.#names.networkChanged(upstreams),
      onWays,
      everyMs: EVERY_MS.alone,
    })
  }

  get counters(): Readonly<StackCounters> {
    return this.#path.stack.counters
  }

  /** Asks for a name that every cluster has. Rejects with ToldError. */
  verify(): Promise<string> {
    return this.#names.verify()
  }

  tunnelThere(tunnel: Tunnel): void {
    this.#names.connected(tunnel)
  }

  tunnelAway(): void {
    this.#names.disconnected()
  }

  close(): void {
    this.#watch.close()
    this.#path.close()
    this.#names.close()
    this.#outside.close()
    this.#machine.close()
  }
}

function always(outside: Outside, wake: () => void): RelayContext {
  return { tunnel: () => outside, whenConnected: () => () => {}, wake }
}

/** Addresses on the loopback device, looked at anew each second. */
function loopbackAddresses(clock: Clock): () => string[] {
  let seen: string[] = []
  let until = Number.NEGATIVE_INFINITY
  return () => {
    if (clock.now() < until) return seen
    until = clock.now() + LOOPBACK_MS
    seen = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).filter(({ internal }) => internal).map(({ address }) => address),
    )
    return seen
  }
}
