// Makes one of a laptop's connections slow, both ways, with queues of the kernel: one of two port-forwards that has the worse
// way through the network. Over IPv4 alone.
import type { Status } from '../src/control/protocol.ts'
import { inLaptop } from './laptops.ts'

/** A queue of so long, as network devices have; what comes when it is full is dropped. */
const QUEUE = '100ms'
const DEVICE = 'ifb-slow'

/** Local ports of the port-forwards that kt on this laptop has, once there are `count`. */
export async function portForwards(laptop: string, kt: string, count: number): Promise<number[]> {
  for (let tries = 0; ; tries++) {
    const { pid, server } = JSON.parse(inLaptop(laptop, kt, 'status', '--json')) as Status
    const to = `:${new URL(server).port || 443}`
    const open = inLaptop(laptop, 'ss', '-Htnp', 'state', 'established', 'dport', '=', to).split('\n')
    const ports = open.filter((line) => line.includes(`pid=${pid},`)).map((line) => Number(/:(\d+)\s/.exec(line)![1]))
    if (ports.length === count) return ports
    if (tries === 50) throw new Error(`kt has ${ports.length} port-forwards instead of ${count}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** The connection from `port` moves `megabits` a second at most, in either direction, until the result is called. */
export function slowDown(laptop: string, port: number, megabits: number): () => void {
  const device = /^default .*dev (\S+)/m.exec(inLaptop(laptop, 'ip', 'route', 'show', 'default'))![1]
  const tc = (words: string) => inLaptop(laptop, 'tc', ...words.split(' '))
  const queue = `tbf rate ${megabits}mbit burst 256kb latency ${QUEUE}`
  const only = (which: 'sport' | 'dport') => `protocol ip u32 match ip protocol 6 0xff match ip ${which} ${port} 0xffff`
  // A qdisc is for what a device sends, so what comes is sent through a device of its own.
  inLaptop(laptop, 'ip', 'link', 'add', DEVICE, 'up', 'type', 'ifb')
  tc(`qdisc add dev ${DEVICE} root ${queue}`)
  tc(`qdisc add dev ${device} ingress`)
  tc(`filter add dev ${device} parent ffff: ${only('dport')} action mirred egress redirect dev ${DEVICE}`)
  tc(`qdisc add dev ${device} root handle 1: htb`)
  tc(`class add dev ${device} parent 1: classid 1:1 htb rate ${megabits}mbit burst 256kb`)
  tc(`qdisc add dev ${device} parent 1:1 ${queue}`)
  tc(`filter add dev ${device} parent 1: ${only('sport')} flowid 1:1`)
  return () => {
    tc(`qdisc del dev ${device} root`)
    tc(`qdisc del dev ${device} ingress`)
    inLaptop(laptop, 'ip', 'link', 'del', DEVICE)
  }
}
