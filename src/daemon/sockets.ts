// The kernel's tables of sockets, /proc/net/{tcp,tcp6,udp,udp6}: from the two ends of a flow to the inode of the socket,
// which /proc/PID/fd then shows. Keys are the hexadecimal that the kernel prints, so a line costs two slices.
import type { Endpoint } from '../wire/address.ts'

// ::ffff:0:0/96 as the kernel prints it: an IPv4 connection of an IPv6 socket (RFC 4291 2.5.5.2).
const MAPPED = '0000000000000000FFFF0000'

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0').toUpperCase())

/** How the kernel prints an endpoint: 32-bit words of the address in the machine's (little-endian) order, port. */
export function kernelText({ address, port }: Endpoint): string {
  let text = ''
  const { bytes } = address
  for (let word = 0; word < bytes.length; word += 4) for (let i = 3; i >= 0; i--) text += HEX[bytes[word + i]]
  return `${text}:${HEX[port >> 8]}${HEX[port & 255]}`
}

/** The key of a connected socket, and of a UDP socket that takes from anybody, at any address. */
export const connectedKey = (local: string, remote: string): string => `${local} ${remote}`
export const portKey = (port: string): string => `*:${port}`

/**
 * Adds the sockets of one table to `inodes`: connected ones by `connectedKey`, with `unconnected` also those that are
 * not, by `portKey`. Sockets without an inode (TIME-WAIT) are nobody's.
 */
export function readSockets(table: string, inodes: Map<string, string>, unconnected: boolean): void {
  // sl local rem st tx:rx tr:when retrnsmt uid timeout inode ...; proc_pid_net(5)
  for (let start = table.indexOf('\n') + 1; start > 0 && start < table.length; ) {
    const stop = table.indexOf('\n', start)
    const line = table.slice(start, stop < 0 ? table.length : stop)
    start = stop + 1
    const fields = line.trim().split(/\s+/, 10)
    if (fields.length < 10 || fields[9] === '0') continue
    const local = unmapped(fields[1])
    const remote = unmapped(fields[2])
    if (!remote.endsWith(':0000')) inodes.set(connectedKey(local, remote), fields[9])
    else if (unconnected) inodes.set(portKey(local.slice(-4)), fields[9])
  }
}

const unmapped = (text: string): string => (text.startsWith(MAPPED) ? text.slice(MAPPED.length) : text)
